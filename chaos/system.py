"""The system under test, as faults and workload know it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import psutil

from .scenario import Scenario
from .toxiproxy import Toxiproxy

T = TypeVar("T")

PROGRAMS = ("api", "worker", "sweeper")
STORES = ("postgres", "mongo")
SERVERS = ("store", "ledger", "cache", "broker")


class System(Protocol):
    """store: one of STORES, whichever `store` stands for. folder: its data and clocks, where they are ours.
    urls: where clients reach each API, with the key as the user where one is needed.
    proxies: None where it runs without them.
    """

    store: str
    folder: Path
    urls: Sequence[str]
    proxies: Toxiproxy | None

    def require(self, scenario: Scenario) -> None:
        """Raises Impossible where something in it cannot be done to this system."""
        ...

    def links(self, target: str) -> list[str]:
        """The proxies of a connection, or of all that lead to a server."""
        ...

    def server(self, name: str) -> str:
        """The URL of a server itself, past its proxies. Raises Impossible where this system has none of that name."""
        ...

    async def steer(self, command: str, name: str) -> None:
        """kill, stop, start, freeze or thaw; returns when it has had its effect, even if cancelled."""
        ...

    async def process(self, name: str) -> psutil.Process:
        """The process of that name, the parent of its children. Raises psutil.NoSuchProcess when it is down."""
        ...

    async def until_ready(self, name: str) -> None:
        """Wait for a process that its supervisor starts again. Raises TimeoutError where it does not come back."""
        ...

    async def keep_logs(self, folder: Path) -> None:
        """Copy what its processes have said."""
        ...


async def to_its_end(work: Awaitable[T]) -> T:
    """The result of `work`. A cancelled caller gets on only when it is over, so that nothing half-done is undone."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
