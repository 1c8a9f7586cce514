"""A stack of its own on this machine, with a proxy on every connection where one is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from cli.stack.handle import Stack, private_stack
from cli.stack.ports import Ports

from . import toxiproxy
from .errors import Impossible
from .scenario import Scenario
from .system import PROGRAMS, SERVERS, STORES, to_its_end
from .toxiproxy import Link, Toxiproxy

_URLS = {
    "postgres": "postgresql://holdfast@{}/holdfast",
    "mongo": "mongodb://{}/holdfast?directConnection=true",
    "ledger": "redis://{}/0",
    "broker": "redis://{}/1",
    "cache": "redis://{}/0",
}
_INSIDE = Path(__file__).parent / "inside"
# Seconds for a process that died to be up again.
_READY_WITHIN = 60.0


class LocalSystem:
    """A stack of our own. Where it has a second set of programs, they are `api2`, `worker2` and `sweeper2`."""

    def __init__(self, stacks: Sequence[Stack], folder: Path, urls: Sequence[str], proxies: Toxiproxy | None) -> None:
        self.folder = folder
        self.urls = urls
        self.proxies = proxies
        self.store = stacks[0].store()
        self._stacks = stacks
        self._servers = {name: str(row["url"]) for name, row in stacks[0].processes().items()}

    def require(self, scenario: Scenario) -> None:
        """It was made for the scenario."""

    def links(self, target: str) -> list[str]:
        if "-" in target:
            return [target]
        return ["client-api"] if target == "api" else [f"{program}-{target}" for program in PROGRAMS]

    def server(self, name: str) -> str:
        if name in STORES and name != self.store:
            raise Impossible(f"this needs {name}, and the store is {self.store}")
        return self._servers[name]

    async def steer(self, command: str, name: str) -> None:
        stack, name = self._of(name)
        steps: dict[str, Callable[[str], None]] = {
            "kill": stack.kill,
            "stop": stack.stop,
            "start": stack.start,
            "freeze": stack.freeze,
            "thaw": stack.thaw,
        }
        await to_its_end(asyncio.to_thread(steps[command], name))

    async def process(self, name: str) -> psutil.Process:
        return psutil.Process((await self._row(name))["pid"] or 0)

    async def until_ready(self, name: str) -> None:
        async with asyncio.timeout(_READY_WITHIN):
            while (await self._row(name))["state"] != "ready":
                await asyncio.sleep(0.1)

    async def keep_logs(self, folder: Path) -> None:
        await asyncio.to_thread(shutil.copytree, self.folder / "log", folder, dirs_exist_ok=True)

    async def _row(self, name: str) -> dict[str, Any]:
        stack, name = self._of(name)
        return (await asyncio.to_thread(stack.processes))[self.store if name == "store" else name]

    def _of(self, name: str) -> tuple[Stack, str]:
        return (self._stacks[1], name[:-1]) if name.endswith("2") else (self._stacks[0], name)


@contextlib.asynccontextmanager
async def local(
    folder: Path, settings: Mapping[str, str], *, proxied: bool, replicas: int = 1
) -> AsyncIterator[LocalSystem]:
    """A stack in `folder` on free ports, with a second set of programs where two replicas are wanted.

    settings: HOLDFAST_STORE among them.

    Raises Impossible where proxies are wanted and there is no Toxiproxy.
    """
    own, store = _ports(folder), settings["HOLDFAST_STORE"]
    env = {**settings, **_port_settings(own, store), "PYTHONPATH": str(_INSIDE), "CHAOS_CLOCKS": str(folder)}
    urls, proxies = [f"http://{_local(own['api'])}"], None
    async with contextlib.AsyncExitStack() as things:
        if proxied:
            links = _links(own)
            running = toxiproxy.running(own["toxiproxy"], links, folder / "toxiproxy.log")
            proxies = await things.enter_async_context(running)
            urls, env = [f"http://{links[-1].listen}"], env | _detours(links, store)
        stacks = [things.enter_context(private_stack(folder, settings=env))]
        for number in range(2, replicas + 1):
            names = (store, *SERVERS[1:])
            shared = {f"HOLDFAST_{name.upper()}_URL": stacks[0].url(name) for name in names}
            more = private_stack(folder / f"replica{number}", settings={**settings, **shared})
            stacks.append(things.enter_context(more))
            urls.append(stacks[-1].url("api"))
        yield LocalSystem(stacks, folder, urls, proxies)


def _ports(folder: Path) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports(folder / "chaos-ports.json", {})
    wanted = ["api", "store", "ledger", "cache", "toxiproxy", "client-api"]
    wanted += [f"{program}-{server}" for program in PROGRAMS for server in SERVERS]
    found = {name: ports.take(name) for name in wanted}
    return found | {"broker": found["ledger"]}


def _port_settings(ports: Mapping[str, int], store: str) -> dict[str, str]:
    names = {"api": "api", "store": store, "ledger": "ledger", "cache": "cache"}
    return {f"HOLDFAST_{names[name].upper()}_PORT": str(ports[name]) for name in names}


def _links(ports: Mapping[str, int]) -> list[Link]:
    """From each program to each server, and last from the clients to the API."""
    pairs = [*((program, server) for program in PROGRAMS for server in SERVERS), ("client", "api")]
    return [Link(f"{near}-{far}", _local(ports[f"{near}-{far}"]), _local(ports[far])) for near, far in pairs]


def _detours(links: list[Link], store: str) -> dict[str, str]:
    """Each program's own way to each server."""
    found = {}
    for link in links[:-1]:
        program, _, far = link.name.partition("-")
        server = store if far == "store" else far
        found[f"HOLDFAST_STACK_{program.upper()}_{server.upper()}_URL"] = _URLS[server].format(link.listen)
    return found


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"
