"""`holdfast keys`: what a person types and what stands in the file afterwards."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from adapters.keys_file import read_keys
from tests.support.keys import command, make_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_key_is_printed_once_and_only_its_digest_is_kept(file: Path) -> None:
    done = command("create", "--principal", "shop", "--scope", "read", file=file)
    key = done.stdout.strip()
    assert (done.exit_code, len(key.encode()) > 43, key.startswith("hfk_")) == (0, True, True)
    assert key.rpartition("_")[2] not in file.read_text()
    assert key.rpartition("_")[2] not in command("list", file=file).output


def test_no_two_keys_are_alike(file: Path) -> None:
    made = [make_key(file, "shop", "read") for _ in range(3)]
    assert len({each["key"] for each in made}) == len({each["id"] for each in made}) == 3
    assert len(read_keys(file)) == 3


def test_a_new_file_is_for_its_owner_only_and_an_old_one_keeps_its_group(file: Path) -> None:
    make_key(file, "shop", "read")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    make_key(file, "shop", "read")
    assert file.stat().st_mode & 0o777 == 0o640


def test_the_file_is_replaced_as_a_whole_also_behind_a_link(file: Path, tmp_path: Path) -> None:
    make_key(file, "shop", "read")
    (tmp_path / "link.json").symlink_to(file)
    before = file.stat().st_ino
    make_key(tmp_path / "link.json", "shop", "read")
    assert file.stat().st_ino != before
    assert (tmp_path / "link.json").is_symlink()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys.json", "link.json"]


def test_the_list_tells_all_but_the_keys(file: Path) -> None:
    make_key(file, "shop", "read", "write", collections="shop-", expires="90d")
    make_key(file, "ops", "admin")
    [shop, ops] = json.loads(command("list", "--json", file=file).stdout)
    assert (shop["principal"], shop["scopes"], shop["collections"]) == ("shop", ["read", "write"], "shop-")
    assert shop["expires_at"] > shop["created_at"]
    assert "expires_at" not in ops
    assert all("sha256" not in each and "key" not in each for each in (shop, ops))
    table = command("list", file=file).stdout
    assert "shop-" in table
    assert "never" in table


def test_a_revoked_key_is_gone_and_the_others_stay(file: Path) -> None:
    first, second = make_key(file, "shop", "read"), make_key(file, "ops", "admin")
    assert command("revoke", first["id"], file=file).exit_code == 0
    assert list(read_keys(file)) == [second["id"].encode()]


def test_a_key_that_is_not_there_cannot_be_revoked(file: Path) -> None:
    make_key(file, "shop", "read")
    before = file.read_bytes()
    done = command("revoke", "nobody", file=file)
    assert (done.exit_code, "there is no key nobody" in done.output, file.read_bytes()) == (1, True, before)


@pytest.mark.parametrize(
    ("arguments", "trouble"),
    [
        (["--principal", "two words", "--scope", "read"], "'two words'"),
        (["--principal", "shop"], "--scope"),
        (["--principal", "shop", "--scope", "own"], "'own'"),
        (["--principal", "shop", "--scope", "read", "--collections", "Shop"], "'Shop'"),
        (["--principal", "shop", "--scope", "admin", "--collections", "shop"], "every collection"),
        (["--principal", "shop", "--scope", "read", "--expires", "soon"], "'soon'"),
        (["--principal", "shop", "--scope", "read", "--expires", "2001-01-01"], "over already"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(file: Path, arguments: list[str], trouble: str) -> None:
    done = command("create", *arguments, file=file)
    assert (done.exit_code, trouble in done.output, file.exists()) == (2, True, False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": 1}', '{"keys": [1]}'])
def test_a_file_that_is_none_of_ours_is_left_alone(file: Path, text: str) -> None:
    file.write_text(text)
    for arguments in (["create", "--principal", "shop", "--scope", "read"], ["list"], ["revoke", "x"]):
        done = command(*arguments, file=file)
        assert (done.exit_code, "keys.json" in done.output, file.read_text()) == (1, True, text)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = command("create", "--principal", "shop", "--scope", "read", file=tmp_path / "no" / "keys.json")
    assert (done.exit_code, "no" in done.output, "Traceback" in done.output) == (1, True, False)


def test_a_list_of_a_file_that_is_not_there_says_how_to_make_it(file: Path) -> None:
    done = command("list", file=file)
    assert (done.exit_code, "holdfast keys create" in done.output) == (1, True)


def test_of_keys_that_are_made_at_the_same_time_none_is_lost(file: Path) -> None:
    from cli.keys import file as keys_file

    def add(number: int) -> None:
        with keys_file.changing(file) as entries:
            entries.append({"id": str(number)})

    threads = [threading.Thread(target=add, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each["id"] for each in keys_file.read(file)} == {str(number) for number in range(20)}
