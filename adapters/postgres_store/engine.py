"""The pool of connections, and connections that let go at once when their caller does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
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


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that lets go at once when a call on it is cancelled; SQLAlchemy closes it then.

    psycopg would ask the server to cancel the statement and wait for up to ten seconds, which a frozen server makes
    full use of. A statement that is left behind ends by itself or by its timeout, and is its own transaction.
    """

    async def wait(self, gen: PQGen[T], interval: float = 60.0, timeout: float | None = None) -> T:
        return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)


async def _connect(seconds: float, parameters: dict[str, Any]) -> _Connection:
    # In a task of its own, which is not kept: the traceback of a cancelled caller would otherwise keep psycopg's frames
    # alive, and with them its socket open.
    making = asyncio.create_task(_make(seconds, parameters))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_let_go)
        making.cancel()
        del making
        raise


async def _make(seconds: float, parameters: dict[str, Any]) -> _Connection:
    connection: _Connection | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            connection = await _Connection.connect(autocommit=True, prepare_threshold=0, **parameters)
    if connection is None:
        raise psycopg.errors.ConnectionTimeout(f"no connection in {seconds:.3g} s")
    set_json_loads(msgspec.json.decode, connection)
    return connection


def _let_go(making: asyncio.Task[_Connection]) -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().pgconn.finish()
