"""The pool of connections, and connections that let go at once when their caller does."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.types.json import set_json_loads
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from .options import PostgresOptions, connect_parameters

T = TypeVar("T")


def make_engine(options: PostgresOptions) -> AsyncEngine:
    """Connects to nothing yet. Every statement is its own transaction: no COMMIT, no round trip for it."""
    connect = partial(_connect, options.connect_timeout, connect_parameters(options))
    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        pool_size=options.pool_size,
        max_overflow=0,
        pool_timeout=options.pool_timeout,
        pool_use_lifo=True,
        use_native_hstore=False,
        hide_parameters=True,
    )


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that is closed, without a word to the server, when a call on it is cancelled.

    psycopg asks the server to cancel the statement and waits for up to ten seconds, which a frozen server makes full
    use of. A statement that is left behind ends by itself, by its end or its timeout, and is its own transaction.
    """

    async def wait(self, gen: PQGen[T], interval: float = 60.0, timeout: float | None = None) -> T:
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


async def _connect(seconds: float, parameters: dict[str, Any]) -> Connection:
    try:
        async with asyncio.timeout(seconds):
            connection = await Connection.connect(autocommit=True, prepare_threshold=0, **parameters)
    except TimeoutError:
        raise psycopg.errors.ConnectionTimeout(f"no connection in {seconds:.3g} s") from None
    set_json_loads(msgspec.json.decode, connection)
    return connection
