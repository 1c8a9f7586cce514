"""The store: takes a connection for each call, and puts up with one that has gone stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util import greenlet_spawn

from holdfast.errors import OutcomeUnknown, Unavailable
from holdfast.operations.model import Operation, Record, Resource, Result
from holdfast.operations.ports import Cached, Pool
from holdfast.operations.turns import Turns

from .batch import apply_batch
from .engine import make_engine
from .errors import ConnectionLost, describe
from .options import PostgresOptions
from .queries import ping, prune, read_batch, read_copies, read_page

T = TypeVar("T")


class PostgresStore:
    """Connects at the first call. Raises psycopg.ProgrammingError at once for a URL that libpq cannot read.

    A call that is cancelled lets go of its connection at once. What it has sent may still happen: repeat it.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self._engine = make_engine(options)
        self._pool_size = options.pool_size
        self._patience = options.lock_timeout
        self._turns = Turns()

    async def apply(self, operations: Sequence[Operation]) -> list[Result]:
        if not operations:
            return []
        async with self._turns.take(frozenset(operation.resource for operation in operations)):
            return await self._call(lambda connection: apply_batch(connection, operations, self._patience))

    async def read(self, resources: Sequence[Resource]) -> list[Record | None]:
        return await self._call(lambda connection: read_batch(connection, resources)) if resources else []

    async def read_copies(self, resources: Sequence[Resource]) -> list[Cached | None]:
        """The records as a server that is a replica has them, and when that was known to be current."""
        return await self._call(lambda connection: read_copies(connection, resources)) if resources else []

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._call(lambda connection: read_page(connection, collection, after, limit))

    async def prune(self, *, before: float, limit: int) -> int:
        return await self._call(lambda connection: prune(connection, before, limit))

    async def ping(self) -> None:
        await self._call(ping)

    def pool(self) -> Pool:
        pool = self._engine.sync_engine.pool
        idle = pool.checkedin()  # type: ignore[attr-defined]
        return Pool(pool.checkedout(), idle, self._pool_size)  # type: ignore[attr-defined]

    async def close(self) -> None:
        await self._engine.dispose()

    async def _call(self, work: Callable[[Connection], T]) -> T:
        """Connections of the pool are dead after a restart of the server: that alone hurts nobody."""
        try:
            return await greenlet_spawn(self._connected, work)
        except ConnectionLost as lost:
            try:
                return await greenlet_spawn(self._connected, work)
            except Unavailable as error:
                raise OutcomeUnknown(f"{lost}; and then {error}") from error

    def _connected(self, work: Callable[[Connection], T]) -> T:
        with self._connection() as connection:
            return work(connection)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            connection = self._engine.sync_engine.connect()
        except PoolTimeout as error:
            raise Unavailable("PostgreSQL: every connection of the pool is busy") from error
        except (SQLAlchemyError, psycopg.Error, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unavailable(describe(cause if isinstance(cause, Exception) else error)) from error
        with connection:
            yield connection
