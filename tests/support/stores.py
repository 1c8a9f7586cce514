"""Stores in PostgreSQL, and operations to give them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from adapters.postgres_store import PostgresOptions, PostgresStore
from holdfast.operations.identity import new_operation_id
from holdfast.operations.model import JsonObject, Kind, Operation, Resource

# A test in which no call is to run out of time, on any machine.
PATIENT: dict[str, Any] = {
    "pool_timeout": 20.0,
    "connect_timeout": 20.0,
    "statement_timeout": 20.0,
    "lock_timeout": 20.0,
}


@contextlib.asynccontextmanager
async def postgres_store(url: str, **options: Any) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(PostgresOptions(url, **(PATIENT | options)))
    try:
        yield store
    finally:
        await store.close()


def operation(kind: Kind, id_: str, payload: JsonObject | None = None, **rest: Any) -> Operation:
    given = {"id": new_operation_id(), "fingerprint": "f", "accepted_at": 1_700_000_000.0, "keyed": True} | rest
    return Operation(principal="ada", resource=Resource("notes", id_), kind=kind, payload=payload, **given)


def create(id_: str, payload: JsonObject | None = None, **rest: Any) -> Operation:
    return operation(Kind.CREATE, id_, payload or {}, **rest)


def merge(id_: str, payload: JsonObject, **rest: Any) -> Operation:
    return operation(Kind.MERGE, id_, payload, **rest)


def begun(url: str) -> datetime | None:
    """When the youngest statement of a store's connection began, by the server's clock."""
    return _of_stores(url, "max(query_start)")


def waiting_for_a_lock(url: str) -> bool:
    """Some store is."""
    return bool(_of_stores(url, "count(*) FILTER (WHERE wait_event_type = 'Lock')"))


def connections(url: str) -> int:
    """Of stores, at the server."""
    return int(_of_stores(url, "count(*)"))


def _of_stores(url: str, what: LiteralString) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT " + what + " FROM pg_stat_activity"
            " WHERE application_name = 'holdfast' AND datname = current_database()"
        ).fetchone()
    assert row is not None
    return row[0]
