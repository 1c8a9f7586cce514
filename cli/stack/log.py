"""A log: a file of bounded size, written by the supervisor and read by anyone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_FOLLOW_INTERVAL = 0.2


class LogFile:
    """A log of at most twice `limit` bytes: when one file is full it becomes `NAME.log.1`.

    A full disk costs lines, not the log: it goes on when there is room again.
    """

    def __init__(self, path: Path, *, limit: int = 4 * 1024 * 1024) -> None:
        self._path = path
        self._limit = limit
        self._file = path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        if self._file.tell() >= self._limit:
            self._file.close()
            self._path.replace(older(self._path))
            self._file = self._path.open("ab", buffering=0)
        with contextlib.suppress(OSError):
            self._file.write(line + b"\n")

    def close(self) -> None:
        self._file.close()


def older(path: Path) -> Path:
    """The file with the lines that came before those of a log."""
    return path.with_name(path.name + ".1")


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a log, with those of the file before it where it is short; none where there is none."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    if len(lines) < count and older(path).exists():
        lines = older(path).read_bytes().splitlines() + lines
    return [line.decode(errors="replace") for line in lines[-count:]] if count else []


def added(path: Path) -> Iterator[str]:
    """The lines that are added to a log from now on, without end, through its changes of file."""
    file = path.open("rb")
    file.seek(0, os.SEEK_END)
    return _follow(path, file)


def _follow(path: Path, file: BinaryIO) -> Iterator[str]:
    try:
        while True:
            if line := file.readline():
                yield line.decode(errors="replace").rstrip("\n")
            elif _was_replaced(path, os.fstat(file.fileno())):
                file.close()
                file = path.open("rb")
            else:
                time.sleep(_FOLLOW_INTERVAL)
    finally:
        file.close()


def _was_replaced(path: Path, known: os.stat_result) -> bool:
    return path.exists() and path.stat().st_ino != known.st_ino
