"""Everything that a store does on one connection, applying aside.

Statements go to psycopg by themselves: around one of a batch of ten, SQLAlchemy's execution takes as long as psycopg's.
Connections, their pool and what becomes of a broken one are SQLAlchemy's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_

from holdfast.errors import Unavailable
from holdfast.operations.model import Record, Resource
from holdfast.operations.ports import Cached

from . import errors, rows, statements


def execute(connection: Connection, statement: str, **parameters: Any) -> Sequence[Sequence[Any]]:
    """Raises Transient, or psycopg's error where the statement itself is at fault."""
    raw: psycopg.AsyncConnection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        return await_(_fetch(raw, statement, parameters))
    except psycopg.Error as error:
        lost = raw.closed
        if lost:
            _drop_with_its_like(connection)
        elif isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            connection.invalidate()
        meaning = errors.translate(error, lost=lost)
        if meaning is error:
            raise
        raise meaning from error
    except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):  # its answer may still come
        connection.invalidate()
        raise


async def _fetch(raw: psycopg.AsyncConnection[Any], statement: str, parameters: dict[str, Any]) -> list[Any]:
    cursor = await raw.execute(statement, parameters)
    return await cursor.fetchall()


def _drop_with_its_like(connection: Connection) -> None:
    """Have SQLAlchemy find it broken: it throws away all of the pool that are no younger."""
    with suppress(DBAPIError):
        connection.exec_driver_sql("SELECT 1")


def read_batch(connection: Connection, resources: Sequence[Resource]) -> list[Record | None]:
    try:
        found = execute(connection, statements.READ, keys=rows.keys(resources))
    except Exception as error:
        if not errors.unstorable(error):
            raise
        if len(resources) == 1:
            return [None]
        half = len(resources) // 2
        return read_batch(connection, resources[:half]) + read_batch(connection, resources[half:])
    records = {record.resource: record for record in map(rows.record, found)}
    return [records.get(resource) for resource in resources]


def read_copies(connection: Connection, resources: Sequence[Resource]) -> list[Cached | None]:
    """The records as a replica has them.

    They were current when the primary made the last commit that the replica has replayed. Where the replica cannot tell
    when that was, the time of each record's last change is taken, which was no later.
    """
    try:
        ((replayed_at,),) = execute(connection, statements.REPLAYED)
        records = read_batch(connection, resources)
    except psycopg.Error as error:
        # What the primary has done meanwhile can be in the way of a replica's reads.
        if errors.outrun(error):
            raise Unavailable(errors.describe(error)) from error
        raise
    return [None if record is None else Cached(record, replayed_at or record.updated_at) for record in records]


def read_page(connection: Connection, collection: str, after: str | None, limit: int) -> list[Record]:
    statement, place = (statements.PAGE, {"after": after}) if after is not None else (statements.FIRST_PAGE, {})
    try:
        found = execute(connection, statement, collection=collection, limit=limit, **place)
    except (psycopg.DataError, UnicodeEncodeError):
        return []  # no such name can be there
    return [rows.record(row) for row in found]


def prune(connection: Connection, before: float, limit: int) -> int:
    ((count,),) = execute(connection, statements.PRUNE, before=before, limit=limit)
    return int(count)


def ping(connection: Connection) -> None:
    ((read_only,),) = execute(connection, statements.PING)
    if read_only == "on":
        connection.invalidate()
        raise Unavailable("PostgreSQL is read-only: a standby, or a primary that was demoted")
