"""The HTTP edge on the engine of `World`: real routes and a real engine, with faults and a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from adapters.assembly import System
from adapters.keys_file import KeysFile
from adapters.metrics import Metrics
from adapters.settings import Settings
from api.app import make_app
from api.waiting import Waiting
from holdfast.health import Check
from holdfast.testing.faults import refused
from tests.support.engine import World

JSON = {"content-type": "application/json"}
PATCH = {"content-type": "application/merge-patch+json"}


class Service:
    """world: the engine behind it. http: a client of it. waiting: its places for long polls. app: the ASGI callable."""

    def __init__(self, world: World, http: httpx.AsyncClient, waiting: Waiting, app: Any) -> None:
        self.world = world
        self.http = http
        self.waiting = waiting
        self.app = app

    def take_the_store_away(self) -> None:
        self.world.store.down = refused

    async def bring_the_store_back(self) -> int:
        """And have all that is held replayed; how many operations that were."""
        self.world.store.down = None
        while not await self.world.store_guard.ready():
            self.world.clock.advance(1.0)
        settled: int = await self.world.replayer.replay()
        return settled


@asynccontextmanager
async def service(world: World | None = None, **settings: Any) -> AsyncIterator[Service]:
    world = world or World()
    chosen = Settings(store="memory", **settings)
    waiting = Waiting(chosen.max_requests)
    keys = KeysFile(chosen.keys_file, clock=world.clock) if chosen.keys_file else None
    app = make_app(system_of(world), chosen, waiting, keys=keys, clock=world.clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://holdfast.test") as http:
        yield Service(world, http, waiting, app)


def system_of(world: World) -> System:
    guards = {"store": world.store_guard, "ledger": world.ledger_guard, "cache": world.cache_guard}
    ports: dict[str, Any] = {"store": world.store.port, "ledger": world.ledger.port, "cache": world.cache.port}
    breakers = {name: guard.breaker for name, guard in guards.items()}
    metrics = Metrics()
    metrics.show(breakers, {})
    return System(
        writer=world.writer,
        reader=world.reader,
        jobs=world.jobs,
        replayer=world.replayer,
        sweeper=world.sweeper,
        breakers=breakers,
        metrics=metrics,
        checks=[Check(name, port.ping) for name, port in ports.items()],
        loops={},
        ledger_stats=lambda: world.ledger_guard.call(world.ledger.port.stats),
        flush=world.refresher.join,
        closers=[],
        grace=1.0,
    )


class Exchange:
    """One request to an ASGI application, its answer seen piece by piece. `leave`: the client goes away.

    whole: the request has arrived, with an empty body; otherwise nothing of its body has.
    """

    def __init__(
        self, app: Any, method: str, path: str, headers: dict[str, str] | None = None, *, whole: bool = True
    ) -> None:
        target, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        if whole:
            self._incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.done = asyncio.ensure_future(app(scope, self._incoming.get, self._outgoing.put))

    async def start(self) -> int:
        """The status of the answer."""
        message = await self._outgoing.get()
        return int(message["status"])

    async def piece(self) -> bytes | None:
        """The next piece of the body, None at its end."""
        message = await self._outgoing.get()
        body: bytes = message.get("body", b"")
        return body if message.get("more_body") or body else None

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})
