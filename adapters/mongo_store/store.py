"""The store: gives every call its time, and puts up with a connection that has gone stale."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pymongo import timeout

from holdfast.errors import OutcomeUnknown, Transient, Unavailable
from holdfast.operations.model import Operation, Record, Resource, Result
from holdfast.operations.ports import Pool
from holdfast.operations.turns import Turns

from .batch import Batch
from .client import database, make_client
from .database import ping, prune, read_batch, read_page
from .errors import ConnectionLost
from .options import MongoOptions
from .pool import PoolCount
from .schema import verify

T = TypeVar("T")

# So much of its time has passed when a call is ended that has not ended by itself.
_LATE = 1.05


class MongoStore:
    """Connects at the first call. Raises pymongo.errors.ConfigurationError at once for a URL that cannot be read.

    A call that is cancelled is let go of: pymongo's part of it goes on to its own end, soon after `timeout`, and sends
    nothing more. What it has sent may still happen: repeat it.
    """

    def __init__(self, options: MongoOptions) -> None:
        self._pool = PoolCount(options.pool_size)
        self._client = make_client(options, self._pool)
        self._db = database(self._client)
        self._timeout = options.timeout
        self._patience = options.patience
        self._turns = Turns()
        self._verified = False
        self._left: set[asyncio.Task[Any]] = set()

    async def apply(self, operations: Sequence[Operation]) -> list[Result]:
        if not operations:
            return []
        async with self._turns.take(frozenset(operation.resource for operation in operations)):
            batch = Batch(self._db, operations, self._patience)
            try:
                return await self._call(lambda: self._run(batch), OutcomeUnknown)
            except Transient as error:
                raise batch.meaning(error) from error
            finally:
                batch.close()

    async def read(self, resources: Sequence[Resource]) -> list[Record | None]:
        return await self._call(lambda: read_batch(self._db, resources)) if resources else []

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._call(lambda: read_page(self._db, collection, after, limit))

    async def prune(self, *, before: float, limit: int) -> int:
        return await self._call(lambda: prune(self._db, before, limit), OutcomeUnknown)

    async def ping(self) -> None:
        await self._call(self._ping)

    def pool(self) -> Pool:
        return self._pool.pool()

    async def close(self) -> None:
        """Return when the calls that were let go of have ended, too."""
        await self._client.close()
        if self._left:
            await asyncio.wait(self._left)

    async def _ping(self) -> None:
        await ping(self._db)
        try:
            await verify(self._db)
        except Exception:
            self._verified = False
            raise
        self._verified = True

    async def _run(self, batch: Batch) -> list[Result]:
        async with self._client.start_session(causal_consistency=True) as session:
            return await batch.run(session)

    async def _call(self, work: Callable[[], Awaitable[T]], late: type[Transient] = Unavailable) -> T:
        """Within the time; the driver's own count of it may be half a second late while it looks for a server.

        pymongo is never cancelled: while it looks for a server, that can leave a lock of its own locked for ever.
        """
        task = asyncio.create_task(self._twice(work))
        self._left.add(task)
        task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(self._timeout * _LATE):
                return await asyncio.shield(task)
        except TimeoutError:
            raise late("MongoDB: no answer in time") from None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be there to ask for it

    async def _twice(self, work: Callable[[], Awaitable[T]]) -> T:
        """Connections of the pool are dead after a restart of the server: that alone hurts nobody."""
        with timeout(self._timeout):
            try:
                return await self._ready(work)
            except ConnectionLost:
                return await self._ready(work)

    async def _ready(self, work: Callable[[], Awaitable[T]]) -> T:
        if not self._verified:
            await self._ping()
        return await work()
