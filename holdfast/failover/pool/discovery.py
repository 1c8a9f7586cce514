"""Keeping a pool in step with a source of endpoints.

A source is an async generator function of snapshots: all endpoints as they are, and again whenever they change.
There are two here; those for DNS, Consul and Kubernetes are adapters, and one of your own is a few lines:

    async def from_file() -> AsyncGenerator[Collection[Endpoint], None]:
        async for _ in awatch("endpoints.txt"):
            yield [Endpoint.parse(line) for line in Path("endpoints.txt").read_text().split()]
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from contextlib import aclosing
from contextvars import Context
from typing import Final, Self, TypeVar

from ...backoff import Backoff
from ...checks import require
from ...clock import Clock, system_clock
from ...events import Event, Listener, emit
from ...joining import stop
from .endpoint import Endpoint
from .endpoint_pool import EndpointPool

E = TypeVar("E")

_log = logging.getLogger(__name__)

Source = Callable[[], AsyncGenerator[Collection[Endpoint], None]]

_BACKOFF: Final = Backoff(0.5, 30.0, jitter="equal")


class Discovery:
    """Makes a pool's endpoints those of a source, for as long as it runs, on the event loop that it was started on.

    While the source fails, the pool keeps the endpoints that were last known: that discovery is down does not mean
    that the service is. The source is asked again after a growing wait, and only the change is logged. When the source
    ends, the endpoints stay as they are.

    name:     whose endpoints these are; those of other names, or registered by hand, are left alone.
    backoff:  waits before a failed source is asked again.
    listener: told `discovery.updated` (endpoints), `.failed` (error.type), `.recovered` and `.ended`.

    >>> async def follow(pool, source):
    ...     async with Discovery(pool, source) as discovery:
    ...         await discovery.ready()
    ...         return [endpoint.id for endpoint in pool.list()]
    >>> asyncio.run(follow(EndpointPool("search"), static(Endpoint("a", "10.0.0.1", 9200))))
    ['a']
    """

    def __init__(
        self,
        pool: EndpointPool,
        source: Source,
        *,
        name: str = "discovery",
        backoff: Backoff = _BACKOFF,
        listener: Listener | None = None,
    ) -> None:
        self._pool = pool
        self._source = source
        self._name = name
        self._backoff = backoff
        self._listener = listener
        self._failures = 0
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def failing(self) -> bool:
        """Whether the source has failed and not answered since; the pool then has what it named last."""
        return self._failures > 0

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin; nothing if it has begun."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def stop(self) -> None:
        """Return when the source is closed; what it named stays in the pool. Nothing if it has not begun."""
        task, self._task = self._task, None
        if task is not None:
            await stop([task])

    async def ready(self) -> None:
        """Return when the source has named its endpoints once."""
        await self._first.wait()

    async def _run(self) -> None:
        while not await self._follow():
            await self._pool.clock.sleep(self._backoff.delay(self._failures))
        _log.info("discovery %r of pool %r has ended, what is known stays", self._name, self._pool.name)
        self._tell("discovery.ended")

    async def _follow(self) -> bool:
        """Whether the source came to its end; otherwise it has failed."""
        try:
            async with aclosing(self._source()) as snapshots:
                async for endpoints in snapshots:
                    self._pool.sync(endpoints, source=self._name)
                    self._applied(len(endpoints))
        except Exception as error:  # noqa: BLE001 - whatever it is, the last known endpoints stay
            self._failed(error)
            return False
        return True

    def _applied(self, endpoints: int) -> None:
        if self._failures:
            _log.info("discovery %r of pool %r works again", self._name, self._pool.name)
            self._tell("discovery.recovered", failures=self._failures)
        self._failures = 0
        self._first.set()
        self._tell("discovery.updated", endpoints=endpoints)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("discovery %r of pool %r fails, what is known stays: %r", self._name, self._pool.name, error)
            self._tell("discovery.failed", **{"error.type": type(error).__qualname__})

    def _tell(self, what: str, **attributes: str | int) -> None:
        emit(self._listener, Event(what, self._name, {"pool": self._pool.name, **attributes}))


def static(*endpoints: Endpoint) -> Source:
    """A source of endpoints that never change.

    >>> source: Source = static(Endpoint("a", "10.0.0.1", 9200))
    """

    async def source() -> AsyncGenerator[Collection[Endpoint], None]:
        yield endpoints

    return source


def polled(
    fetch: Callable[[], Awaitable[Collection[Endpoint]]], interval: float, *, clock: Clock = system_clock
) -> Source:
    """A source that asks `fetch` every `interval` seconds.

    >>> async def fetch():
    ...     return [Endpoint("a", "10.0.0.1", 9200)]
    >>> source: Source = polled(fetch, interval=10.0)
    """
    require(interval > 0, "interval", "more than 0", interval)

    async def source() -> AsyncGenerator[Collection[Endpoint], None]:
        while True:
            yield await fetch()
            await clock.sleep(interval)

    return source


def read_each(entries: Iterable[E], read: Callable[[E], Endpoint]) -> list[Endpoint]:
    """The endpoints that a source's entries describe; one that makes no sense is logged and left out.

    >>> [endpoint.port for endpoint in read_each(["http://10.0.0.1:9200", "nonsense"], Endpoint.parse)]
    [9200]
    """
    endpoints: list[Endpoint] = []
    for entry in entries:
        try:
            endpoints.append(read(entry))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            _log.warning("left out %.200r: %r", entry, error)
    return endpoints
