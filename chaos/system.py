"""The system under test on this machine: a stack of its own, with a proxy on every connection where one is wanted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from cli.stack.handle import Stack, private_stack
from cli.stack.ports import Ports

from . import toxiproxy
from .toxiproxy import Link, Toxiproxy

PROGRAMS = ("api", "worker", "sweeper")
SERVERS = ("postgres", "ledger", "cache", "broker")
_URLS = {
    "postgres": "postgresql://holdfast@{}/holdfast",
    "ledger": "redis://{}/0",
    "broker": "redis://{}/1",
    "cache": "redis://{}/0",
}
_INSIDE = Path(__file__).parent / "inside"


class System:
    """What faults and workload need to know of it.

    folder: its data, logs and clocks. url: where clients reach the API. proxies: None where it runs without them.
    """

    def __init__(self, stack: Stack, folder: Path, url: str, proxies: Toxiproxy | None) -> None:
        self.folder = folder
        self.url = url
        self.proxies = proxies
        self._stack = stack
        self._urls = {name: str(row["url"]) for name, row in stack.processes().items()}

    def server(self, name: str) -> str:
        """The URL of a server itself, past its proxies."""
        return self._urls[name]

    async def steer(self, command: str, name: str) -> None:
        """kill, stop, start, freeze or thaw; returns when it has had its effect."""
        steps: dict[str, Callable[[str], None]] = {
            "kill": self._stack.kill,
            "stop": self._stack.stop,
            "start": self._stack.start,
            "freeze": self._stack.freeze,
            "thaw": self._stack.thaw,
        }
        await asyncio.to_thread(steps[command], name)

    async def process(self, name: str) -> psutil.Process:
        """The process of that name, the parent of its children. Raises psutil.NoSuchProcess when it is down."""
        rows = await asyncio.to_thread(self._stack.processes)
        return psutil.Process(rows[name]["pid"] or 0)

    async def until_ready(self, name: str, within: float = 60.0) -> None:
        """Wait for a process that its supervisor starts again."""
        async with asyncio.timeout(within):
            while (await self._states())[name] != "ready":
                await asyncio.sleep(0.1)

    async def restarts(self) -> dict[str, int]:
        """How often each has been started again after it had died by itself."""
        rows = await asyncio.to_thread(self._stack.processes)
        return {name: row["restarts"] for name, row in rows.items()}

    async def _states(self) -> dict[str, str]:
        rows: dict[str, dict[str, Any]] = await asyncio.to_thread(self._stack.processes)
        return {name: row["state"] for name, row in rows.items()}


@contextlib.asynccontextmanager
async def local(folder: Path, settings: Mapping[str, str], *, proxied: bool) -> AsyncIterator[System]:
    """A stack in `folder` on free ports. Raises Impossible where proxies are wanted and there is no Toxiproxy."""
    own = _ports(folder)
    env = {**settings, **_port_settings(own), "PYTHONPATH": str(_INSIDE), "CHAOS_CLOCKS": str(folder)}
    async with contextlib.AsyncExitStack() as things:
        if not proxied:
            stack = things.enter_context(private_stack(folder, settings=env))
            yield System(stack, folder, f"http://{_local(own['api'])}", None)
            return
        links = _links(own)
        proxies = await things.enter_async_context(toxiproxy.running(own["toxiproxy"], links, folder / "toxiproxy.log"))
        stack = things.enter_context(private_stack(folder, settings=env | _detours(links)))
        yield System(stack, folder, f"http://{links[-1].listen}", proxies)


def _ports(folder: Path) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports(folder / "chaos-ports.json", {})
    wanted = ["api", "postgres", "ledger", "cache", "toxiproxy", "client-api"]
    wanted += [f"{program}-{server}" for program in PROGRAMS for server in SERVERS]
    found = {name: ports.take(name) for name in wanted}
    return found | {"broker": found["ledger"]}


def _port_settings(ports: Mapping[str, int]) -> dict[str, str]:
    return {f"HOLDFAST_{name.upper()}_PORT": str(ports[name]) for name in ("api", "postgres", "ledger", "cache")}


def _links(ports: Mapping[str, int]) -> list[Link]:
    """From each program to each server, and last from the clients to the API."""
    pairs = [*((program, server) for program in PROGRAMS for server in SERVERS), ("client", "api")]
    return [Link(f"{near}-{far}", _local(ports[f"{near}-{far}"]), _local(ports[far])) for near, far in pairs]


def _detours(links: list[Link]) -> dict[str, str]:
    """Each program's own way to each server."""
    found = {}
    for link in links[:-1]:
        program, _, server = link.name.partition("-")
        found[f"HOLDFAST_STACK_{program.upper()}_{server.upper()}_URL"] = _URLS[server].format(link.listen)
    return found


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"
