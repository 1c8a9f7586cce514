"""What the stack says: the lines of every process, to its log and to the terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import click

from .log import LogFile

_CHUNK = 64 * 1024
_LONGEST_LINE = 256 * 1024
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")
_WIDTH = 8
_LAST_WORDS = 15


class Output:
    """Takes the lines of every process to its log, and to the terminal while `shows_logs`."""

    def __init__(self, directory: Path) -> None:
        self.shows_logs = False
        self._directory = directory
        self._files: dict[str, LogFile] = {}
        self._heard: dict[str, deque[bytes]] = {}
        self._colours: dict[str, str] = {}
        self._pumps = set[asyncio.Task[None]]()
        self._deaf = False

    def follow(self, name: str, fd: int) -> None:
        """Take the lines that come out of a pipe, to its end; the pipe is ours from now."""
        pump = asyncio.get_running_loop().create_task(self._pump(name, fd))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    def note(self, text: str) -> None:
        """Say something of our own."""
        self._say(text)

    def event(self, name: str, text: str) -> None:
        """Say what has become of a process."""
        self._say(f"{self._label(name, '*')} {text}")

    def last_words(self, name: str) -> str:
        """What it said last, to be put behind a message; of this run only, while the log has those before it too."""
        lines = [line.decode(errors="replace") for line in self._heard.get(name, ())]
        return "".join(["; its last lines:", *(f"\n  {line}" for line in lines)]) if lines else ""

    def path(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    async def close(self, timeout: float = 1.0) -> None:
        """Take what is still in the pipes, then close the files."""
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=timeout)
        for file in self._files.values():
            file.close()

    async def _pump(self, name: str, fd: int) -> None:
        file = self._files.get(name) or self._files.setdefault(name, LogFile(self.path(name)))
        heard = self._heard.setdefault(name, deque(maxlen=_LAST_WORDS))
        async for line in lines(fd):
            file.write(line)
            heard.append(line)
            if self.shows_logs:
                self._say(f"{self._label(name)} {line.decode(errors='replace')}")

    def _label(self, name: str, mark: str = "|") -> str:
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return click.style(f"{name:<{_WIDTH}} {mark}", fg=colour)

    def _say(self, text: str) -> None:
        """Print, until nobody reads: the stack outlives its pager, and ends in order after its terminal."""
        if self._deaf:
            return
        try:
            click.echo(text)
        except OSError:
            self._deaf = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at exit


async def lines(fd: int) -> AsyncIterator[bytes]:
    """The lines that come out of a pipe, which is closed at its end; one without end is cut."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb"))
    rest = b""
    try:
        while chunk := await reader.read(_CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > _LONGEST_LINE:
                yield rest
                rest = b""
        if rest:
            yield rest
    finally:
        transport.close()
