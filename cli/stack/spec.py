"""What to run: one process, described."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Probe = Callable[[], Awaitable[bool]]


class Account(NamedTuple):
    """A user of this machine, with its own group."""

    uid: int
    gid: int


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Spec:
    """One process: a server, a program, or a step that ends by itself.

    name:    also its log's name.
    env:     the whole environment.
    ready:   asked until it says yes; answers within seconds and raises nothing.
    input:   what it finds on its standard input; small enough for a pipe.
    user:    whom to run it as; ourselves if None.
    prepare: called before each start.
    stop:    the signal that asks it to end.
    grace:   seconds to wait then before it is killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    ready: Probe
    cwd: Path | None = None
    input: bytes = b""
    user: Account | None = None
    prepare: Callable[[], None] = _nothing
    stop: signal.Signals = signal.SIGTERM
    grace: float = 30.0
