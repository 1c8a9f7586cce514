"""The folder in which the children of a worker count."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from adapters.metrics import Children


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def folders(root: Path) -> set[Path]:
    return set(root.glob("holdfast-metrics-*"))


def age(folder: Path) -> None:
    """Have it made an hour ago."""
    os.utime(folder, (time.time() - 3600,) * 2)


def test_it_goes_with_the_parent(tmp_path: Path) -> None:
    children = Children(list)
    assert len(folders(tmp_path)) == 1
    children.close()
    assert not folders(tmp_path)


def test_what_a_killed_parent_has_left_goes_with_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / "holdfast-metrics-left"
    left.mkdir()
    (left / "counter_0.db").touch()
    age(left)
    Children(list).close()
    assert not left.exists()


def test_what_another_parent_counts_in_stays(tmp_path: Path) -> None:
    other = Children(list)
    (held,) = folders(tmp_path)
    age(held)
    Children(list).close()
    assert folders(tmp_path) == {held}
    other.close()


def test_what_was_made_just_now_stays(tmp_path: Path) -> None:
    young = tmp_path / "holdfast-metrics-young"
    young.mkdir()
    Children(list).close()
    assert young.exists()


def test_a_parent_without_children_tells_that_it_has_none() -> None:
    children = Children(list)
    assert b"holdfast_worker_children 0.0" in children.render()
    children.close()
