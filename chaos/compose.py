"""A compose project that runs already: its services are killed, paused and started, its connections go by Toxiproxy.

`docker compose` is asked in the current folder, so COMPOSE_PROJECT_NAME, COMPOSE_FILE and `.env` count as ever;
the variable COMPOSE is another command for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from .errors import Impossible
from .faults import NETWORK
from .http import Connection, NoAnswer, NotSent
from .scenario import Scenario
from .system import PROGRAMS, SERVERS, to_its_end
from .toxiproxy import Toxiproxy

_COMMANDS = {"kill": "kill", "stop": "stop", "start": "start", "freeze": "pause", "thaw": "unpause"}
_FAULTS = frozenset({"kill", "stop", "freeze"})
_API_PORT, _TOXIPROXY_PORT = 8000, 8474
_VIA = "@toxiproxy:"


class ComposeSystem:
    """detoured: the programs reach their servers by Toxiproxy."""

    folder = Path()

    def __init__(self, store: str, urls: list[str], proxies: Toxiproxy | None, *, detoured: bool) -> None:
        self.store = store
        self.urls: Sequence[str] = urls
        self.proxies = proxies
        self._detoured = detoured

    def require(self, scenario: Scenario) -> None:
        if scenario.settings or scenario.replicas > 1:
            raise Impossible(
                f"{scenario.name} wants settings or replicas of its own; a running project has what it has"
            )
        for step in scenario.steps:
            self._require(step.fault, step.target)

    def _require(self, fault: str, target: str) -> None:
        if fault not in _FAULTS | NETWORK:
            raise Impossible(f"{fault} cannot be done from outside of containers; run it with --target local")
        if fault in _FAULTS and self._service(target) not in _services(self.store):
            raise Impossible(f"there is no service {target!r} here, only {', '.join(_services(self.store))}")
        if fault in NETWORK and target not in (*SERVERS, self.store):
            raise Impossible(
                f"{target}: a project has one proxy for each of {', '.join(SERVERS)}, not for each connection"
            )
        if fault in NETWORK and not self._detoured:
            raise Impossible(
                f"{fault} needs Toxiproxy between the parts: set COMPOSE_PROFILES=chaos and DEPENDENCIES_VIA=toxiproxy"
                " in .env, and `docker compose up --detach --wait` again"
            )

    def links(self, target: str) -> list[str]:
        return [self._service(target)]

    def server(self, name: str) -> str:
        raise Impossible(f"{name} is reached from inside the project only")

    async def steer(self, command: str, name: str) -> None:
        name = self._service(name)
        if command != "thaw" or any(each["State"] == "paused" for each in _of(await _containers(), name)):
            await to_its_end(_compose(_COMMANDS[command], name))

    async def process(self, name: str) -> psutil.Process:
        raise Impossible(f"the processes of {name} are those of a container")

    async def until_ready(self, name: str) -> None:
        raise Impossible(f"the engine looks after {name} in its own time")

    def _service(self, name: str) -> str:
        return self.store if name == "store" else name

    async def keep_logs(self, folder: Path) -> None:
        said = await _compose("logs", "--no-color", "--timestamps", "--tail", "5000")
        await asyncio.to_thread(_write, folder / "compose.log", said)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def running(store: str, key: str | None) -> ComposeSystem:
    """The project of the current folder, all of whose parts must be well. key: for its API. Raises Impossible."""
    containers = await _containers()
    wanted = _services(store)
    well = {name for name in wanted if (parts := _of(containers, name)) and all(map(_is_well, parts))}
    if missing := sorted({*wanted} - well):
        raise Impossible(
            f"not running, or not healthy: {', '.join(missing)}; `docker compose up --detach --wait` first"
        )
    user = f"{quote(key, safe='')}@" if key else ""
    urls = [f"http://{user}{address}" for each in _of(containers, "api") for address in _published(each, _API_PORT)]
    await _require_answers(urls)
    toxiproxy = [address for each in _of(containers, "toxiproxy") for address in _published(each, _TOXIPROXY_PORT)]
    detoured = bool(toxiproxy) and _VIA in await _compose("exec", "-T", "api", "printenv", "HOLDFAST_LEDGER_URL")
    return ComposeSystem(store, urls, Toxiproxy(f"http://{toxiproxy[0]}") if toxiproxy else None, detoured=detoured)


def _services(store: str) -> list[str]:
    return [*PROGRAMS, store, *SERVERS[1:]]


async def _require_answers(urls: list[str]) -> None:
    if not urls:
        raise Impossible(f"the api publishes no port for its {_API_PORT}")
    for url in urls:
        with Connection(url, timeout=5.0) as connection:
            try:
                status = (await connection.request("GET", "/v1/records/chaos?limit=1")).status
            except (NotSent, NoAnswer) as error:
                raise Impossible(f"the api does not answer: {error}") from error
        if status in (401, 403):
            raise Impossible(f"the api answers {status}: give it a key with the scopes read, write and admin, by --key")


async def _containers() -> list[dict[str, Any]]:
    """The project's containers. Compose prints an object on each line or, in older versions, one list."""
    told = (await _compose("ps", "--all", "--format", "json")).strip()
    return json.loads(told) if told.startswith("[") else [json.loads(line) for line in told.splitlines()]


def _of(containers: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    return [each for each in containers if each["Service"] == service]


def _is_well(container: dict[str, Any]) -> bool:
    return container["State"] == "running" and container.get("Health") in (None, "", "healthy")


def _published(container: dict[str, Any], port: int) -> list[str]:
    found = [each for each in container.get("Publishers") or () if each["TargetPort"] == port and each["PublishedPort"]]
    return [f"{_host(each['URL'])}:{each['PublishedPort']}" for each in found[:1]]


def _host(address: str) -> str:
    return "127.0.0.1" if address in ("", "0.0.0.0", "::") else address


async def _compose(*words: str) -> str:
    """What it said. Raises Impossible, with what it said, where it fails."""
    command = shlex.split(os.environ.get("COMPOSE", "docker compose"))
    pipe = asyncio.subprocess.PIPE
    try:
        # In a session of its own: Ctrl-C is for us, who need it to heal what was broken.
        child = await asyncio.create_subprocess_exec(
            *command, *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise Impossible(f"{command[0]} cannot be run: {error.strerror}") from error
    said, complained = await child.communicate()
    if child.returncode:
        raise Impossible(
            f"`{shlex.join([*command, *words])}` failed: {complained.decode(errors='replace').strip()[-500:]}"
        )
    return said.decode()
