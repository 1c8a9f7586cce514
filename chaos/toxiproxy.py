"""A real Toxiproxy between the parts, so that single connections can be slow, silent, half open or broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cli.stack.spawn import tie_to_us

from .errors import Impossible
from .http import Connection, NoAnswer, NotSent

_TOOLS = Path(__file__).parent.parent / ".tools" / "bin" / "toxiproxy-server"
_START_TIMEOUT = 60.0
_ANSWER_TIMEOUT = 30.0


class Link(NamedTuple):
    """One proxy: connections to `listen` go on to `upstream`, both as host:port."""

    name: str
    listen: str
    upstream: str


class Toxiproxy:
    def __init__(self, url: str) -> None:
        self._connection = Connection(url, timeout=_ANSWER_TIMEOUT)
        self._one_at_a_time = asyncio.Lock()

    async def poison(self, link: str, name: str, kind: str, stream: str, attributes: Mapping[str, Any]) -> None:
        """stream: `upstream` is what the client sends, `downstream` what it is answered."""
        toxic = {"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}
        await self._post(f"/proxies/{link}/toxics", toxic)

    async def cure(self, link: str, name: str) -> None:
        await self._ask("DELETE", f"/proxies/{link}/toxics/{name}")

    async def enable(self, link: str, *, on: bool) -> None:
        """Off: connections are closed and new ones refused."""
        await self._post(f"/proxies/{link}", {"enabled": on})

    async def add(self, link: Link) -> None:
        await self._post("/proxies", {**link._asdict(), "enabled": True})

    async def answers(self) -> bool:
        try:
            return (await self._connection.request("GET", "/version")).status == 200
        except (NotSent, NoAnswer):
            return False

    def close(self) -> None:
        self._connection.close()

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        await self._ask("POST", path, json.dumps(body).encode())

    async def _ask(self, method: str, path: str, body: bytes = b"") -> None:
        async with self._one_at_a_time:
            reply = await self._connection.request(method, path, {"content-type": "application/json"}, body)
        if reply.status >= 300:
            raise RuntimeError(f"Toxiproxy answered {reply.status} to {method} {path}: {reply.body.decode()}")


def find() -> Path:
    """The path of Toxiproxy's server. Raises Impossible where there is none."""
    found = _TOOLS if _TOOLS.exists() else shutil.which("toxiproxy-server")
    if found is None:
        raise Impossible("this scenario needs toxiproxy-server: `make tools` builds it where Go is, or put it on PATH")
    return Path(found)


@contextlib.asynccontextmanager
async def running(port: int, links: list[Link], log: Path) -> AsyncIterator[Toxiproxy]:
    """Raises Impossible where there is no Toxiproxy."""
    child = _start(port, log)
    try:
        with contextlib.closing(Toxiproxy(f"http://127.0.0.1:{port}")) as proxy:
            async with asyncio.timeout(_START_TIMEOUT):
                while not await proxy.answers():
                    await asyncio.sleep(0.05)
            for link in links:
                await proxy.add(link)
            yield proxy
    finally:
        child.kill()
        child.wait()


def _start(port: int, log: Path) -> subprocess.Popen[bytes]:
    command = [str(find()), "-host", "127.0.0.1", "-port", str(port)]
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C is for us, who need it to heal what was broken.
        return subprocess.Popen(
            command, stdout=output, stderr=output, preexec_fn=tie_to_us(signal.SIGKILL), start_new_session=True
        )
