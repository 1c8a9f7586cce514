"""`python -m api` and its keys: when it starts, when it does not, and what a change of the file does while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api_process import run, running
from tests.support.keys import bearer, command, make_key
from tests.support.processes import wait_until

ORDER = "/v1/records/orders/1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_keys_it_does_not_listen_beyond_this_machine_and_says_what_to_do(host: str) -> None:
    ended = run(HOLDFAST_API_HOST=host, HOLDFAST_API_PORT="0")
    assert ended.returncode == 2
    for told in (f"HOLDFAST_API_HOST={host}", "HOLDFAST_KEYS_FILE", "holdfast keys create", "HOLDFAST_OPEN=anywhere"):
        assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_behind_a_gateway_it_listens_anywhere_without_keys() -> None:
    with running(HOLDFAST_API_HOST="0.0.0.0", HOLDFAST_OPEN="anywhere") as api:
        assert api.http.put(ORDER, json={}).status_code == 201


def test_a_file_of_keys_that_cannot_be_used_ends_it_with_2(tmp_path: Path) -> None:
    for file, told in [(tmp_path / "none.json", "No such file"), (tmp_path / "bad.json", "is no file of keys")]:
        (tmp_path / "bad.json").write_text("{")
        ended = run(HOLDFAST_KEYS_FILE=str(file))
        assert (ended.returncode, "HOLDFAST_KEYS_FILE" in ended.stderr, told in ended.stderr) == (2, True, True)
        assert "Traceback" not in ended.stderr


def test_with_keys_it_listens_anywhere_and_a_key_that_is_made_or_revoked_counts_without_a_restart(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys.json"
    first = bearer(file, "shop", "read", "write")
    with running(HOLDFAST_API_HOST="0.0.0.0", HOLDFAST_KEYS_FILE=str(file)) as api:
        assert api.http.put(ORDER, json={}).status_code == 401
        assert api.http.put(ORDER, json={}, headers=first).status_code == 201
        second = make_key(file, "late", "read")
        given = {"authorization": f"Bearer {second['key']}"}
        wait_until(lambda: api.http.get(ORDER, headers=given).status_code == 200, "the new key is known")
        command("revoke", second["id"], file=file)
        wait_until(lambda: api.http.get(ORDER, headers=given).status_code == 401, "the key is revoked")
        file.write_text("{")
        assert api.http.get(ORDER, headers=first).status_code == 200
