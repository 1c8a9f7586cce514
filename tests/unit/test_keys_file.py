"""The file of keys as the API reads it: at its start, and whenever it changes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from adapters.keys_file import SECONDS_BETWEEN_LOOKS, KeysFile, KeysFileError, read_keys
from holdfast.testing.clock import FakeClock
from tests.support.keys import command, make_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


ENTRY: dict[str, Any] = {"id": "a1", "principal": "shop", "sha256": "0" * 64, "scopes": ["read"]}


def test_a_key_is_found_with_all_that_it_may(file: Path) -> None:
    made = make_key(file, "shop", "read", "write", collections="shop-", expires="2099-01-01")
    found = KeysFile(file).find(made["key"].encode())
    assert found is not None
    assert (found.id, found.principal, found.collections) == (made["id"], "shop", "shop-")
    assert found.scopes == {"read", "write"}
    assert found.expires_at == 4_070_908_800


def test_nothing_but_the_whole_key_is_good(file: Path) -> None:
    key = make_key(file, "shop", "read")["key"]
    keys = KeysFile(file)
    other = make_key(file, "shop", "read")["key"]
    for wrong in ("", "_", "hfk_", key[:-1], key + "x", key.upper(), key.replace("hfk", "hfx"), other, f"hfk_{key}"):
        assert keys.find(wrong.encode()) is None
    stored = json.loads(file.read_text())["keys"][0]
    assert keys.find(f"hfk_{stored['id']}_{stored['sha256']}".encode()) is None


def test_a_change_counts_within_a_second_and_the_file_is_not_looked_at_more_often(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_key(file, "shop", "read")
    clock = FakeClock()
    keys = KeysFile(file, clock=clock)
    second = make_key(file, "shop", "read")["key"].encode()
    assert command("revoke", first["id"], file=file).exit_code == 0
    assert keys.find(second) is None
    clock.advance(SECONDS_BETWEEN_LOOKS)
    assert keys.find(second) is not None
    assert keys.find(first["key"].encode()) is None


@pytest.mark.parametrize("broken", [None, "", '{"keys": [', '{"keys": [{"id": "a1"}]}'])
def test_a_broken_new_file_leaves_the_keys_as_they_were_and_is_told_of_once(
    file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    key = make_key(file, "shop", "read")["key"].encode()
    clock = FakeClock()
    keys = KeysFile(file, clock=clock)
    good = file.read_text()
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            clock.advance(SECONDS_BETWEEN_LOOKS)
            assert keys.find(key) is not None
    [line] = caplog.records
    assert (line.levelno, str(file) in line.getMessage()) == (logging.ERROR, True)
    file.write_text(good.replace('"read"', '"write"'))
    clock.advance(SECONDS_BETWEEN_LOOKS)
    found = keys.find(key)
    assert found is not None
    assert found.scopes == {"write"}


@pytest.mark.parametrize(
    ("entries", "trouble"),
    [
        ([ENTRY | {"scopes": ["own"]}], "own"),
        ([ENTRY | {"scopes": []}], "scopes"),
        ([ENTRY | {"sha256": "0"}], "sha256"),
        ([ENTRY | {"principal": ""}], "principal"),
        ([ENTRY | {"expires_at": "soon"}], "expires_at"),
        ([ENTRY | {"expires_at": "2027-01-01T00:00:00"}], "expires_at"),
        ([ENTRY | {"colections": "x"}], "colections"),
        ([ENTRY, ENTRY], "more than once"),
        ([ENTRY | {"scopes": ["admin"], "collections": "x"}], "every collection"),
    ],
)
def test_a_wrong_entry_is_named(file: Path, entries: list[dict[str, Any]], trouble: str) -> None:
    file.write_text(json.dumps({"keys": entries}))
    with pytest.raises(KeysFileError, match=trouble) as wrong:
        KeysFile(file)
    assert str(file) in str(wrong.value)


def test_a_file_that_is_not_there_is_told_with_the_way_to_make_it(file: Path) -> None:
    with pytest.raises(KeysFileError, match="holdfast keys create"):
        KeysFile(file)


def test_a_file_that_anybody_may_change_is_not_trusted(file: Path) -> None:
    make_key(file, "shop", "admin")
    file.chmod(0o666)
    with pytest.raises(KeysFileError, match="chmod o-w"):
        read_keys(file)


def test_a_key_revoked_in_a_file_that_could_not_be_used_is_good_no_more_once_it_can_be(file: Path) -> None:
    key = make_key(file, "shop", "read")["key"].encode()
    clock = FakeClock()
    keys = KeysFile(file, clock=clock)
    file.write_text('{"keys": []}')
    file.chmod(0o666)
    clock.advance(SECONDS_BETWEEN_LOOKS)
    assert keys.find(key) is not None
    file.chmod(0o600)
    clock.advance(SECONDS_BETWEEN_LOOKS)
    assert keys.find(key) is None


def test_a_file_without_keys_lets_nobody_in_and_says_so(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text('{"keys": []}')
    with caplog.at_level(logging.WARNING):
        assert KeysFile(file).find(b"hfk_a_b") is None
    assert "nobody is let in" in caplog.text
