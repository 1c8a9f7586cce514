"""Everything that a store does on one connection, applying aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, TextClause
from sqlalchemy.exc import DBAPIError

from holdfast.errors import Unavailable
from holdfast.operations.model import Record, Resource
from holdfast.operations.ports import Cached

from . import errors, rows, statements


def execute(connection: Connection, statement: TextClause, **parameters: Any) -> Sequence[Sequence[Any]]:
    """Raises Transient, or psycopg's error where the statement itself is at fault."""
    try:
        return connection.execute(statement, parameters).all()
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction):
            connection.invalidate()
        raise errors.translate(error) from error


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
    """Of a replica: current when the primary made the last commit that is replayed there; where that cannot be told,
    when the record last changed, which was no later.
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
