"""Logs of bounded size, and reading them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.log import LogFile, added, older, tail
from cli.stack.output import lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it.log"


@pytest.fixture
def log(path: Path) -> Iterator[LogFile]:
    log = LogFile(path, limit=100)
    yield log
    log.close()


def test_a_log_never_takes_more_than_twice_its_limit(log: LogFile, path: Path) -> None:
    for number in range(100):
        log.write(b"line %d" % number)
    assert path.stat().st_size + older(path).stat().st_size <= 2 * 100 + 2 * len("line 99\n")
    assert tail(path, 12) == [f"line {number}" for number in range(88, 100)]


def test_a_log_goes_on_where_the_last_run_ended(log: LogFile, path: Path) -> None:
    log.write(b"first run")
    again = LogFile(path, limit=100)
    again.write(b"second run")
    again.close()
    assert tail(path, 9) == ["first run", "second run"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a device that is always full")
def test_a_disk_without_room_costs_lines_and_not_the_log(log: LogFile, path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/full")
    full = LogFile(path)
    full.write(b"line")
    full.close()


def test_a_tail_of_no_log_or_of_no_lines_is_empty(log: LogFile, path: Path) -> None:
    log.write(b"line")
    assert tail(path, 0) == []
    assert tail(path.with_name("none.log"), 9) == []


def test_following_shows_what_is_added_through_every_change_of_file(log: LogFile, path: Path) -> None:
    log.write(b"old")
    new = added(path)
    for number in range(40):
        log.write(b"line %d" % number)
        assert next(new) == f"line {number}"
    assert older(path).exists()


async def test_lines_come_whole_however_the_pipe_cuts_them() -> None:
    read, write = os.pipe()
    for piece in (b"fir", b"st\nsecond\n", b"\nno end"):
        os.write(write, piece)
    os.close(write)
    assert [line async for line in lines(read)] == [b"first", b"second", b"", b"no end"]


async def test_a_line_without_end_is_cut_and_loses_nothing() -> None:
    read, write = os.pipe()
    size = 1024 * 1024
    writer = asyncio.create_task(asyncio.to_thread(write_all, write, b"x" * size))
    pieces = [line async for line in lines(read)]
    await writer
    assert sum(map(len, pieces)) == size
    assert max(map(len, pieces)) < size


def write_all(fd: int, data: bytes) -> None:
    with os.fdopen(fd, "wb") as file:
        file.write(data)
