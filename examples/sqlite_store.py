"""A store in SQLite, one file on one machine: the worked example of docs/how-to/write-a-store.md."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from adapters.codec import decode_outcome, decode_record, encode_outcome, encode_record
from holdfast.errors import OutcomeUnknown, Unavailable
from holdfast.operations.model import Fault, Operation, Record, Resource, Result
from holdfast.operations.plan import Group, Known, plan

T = TypeVar("T")

# An operation's id is unique, and is in the same transaction as its effect: that is all the magic there is.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    collection TEXT, id TEXT, deleted INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (collection, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, outcome BLOB NOT NULL, applied_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS operations_applied_at ON operations (applied_at);
"""

# The file cannot be used now; nothing of the transaction has happened. Any other error is a bug of ours.
_AWAY = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
)


class SqliteStore:
    """Opens its file, and makes its tables, at the first call. patience: seconds to wait for other processes."""

    def __init__(self, path: Path, *, patience: float = 0.5) -> None:
        self._path = path
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._one_at_a_time = threading.Lock()

    async def apply(self, operations: Sequence[Operation]) -> list[Result]:
        return await self._call(lambda connection: _apply(connection, operations))

    async def read(self, resources: Sequence[Resource]) -> list[Record | None]:
        return await self._call(lambda connection: [_record(connection, resource) for resource in resources])

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        query = "SELECT record FROM records WHERE collection = ? AND id > ? AND NOT deleted ORDER BY id LIMIT ?"
        rows = await self._call(
            lambda connection: connection.execute(query, (collection, after or "", limit)).fetchall()
        )
        return [decode_record(record) for (record,) in rows]

    async def prune(self, *, before: float, limit: int) -> int:
        old = "SELECT id FROM operations WHERE applied_at < ? ORDER BY applied_at LIMIT ?"
        query = f"DELETE FROM operations WHERE id IN ({old})"  # noqa: S608
        return await self._call(lambda connection: connection.execute(query, (before, limit)).rowcount)

    async def ping(self) -> None:
        """A transaction that may write has begun."""
        await self._call(lambda _: None)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """In a thread, for SQLite blocks. A caller that is cancelled leaves it to its end."""
        return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._one_at_a_time:
            connection = self._open()
            try:
                with _meaning(Unavailable):
                    connection.execute("BEGIN IMMEDIATE")
                    result = work(connection)
                with _meaning(OutcomeUnknown):
                    connection.execute("COMMIT")
                return result
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            with _meaning(Unavailable):
                made = sqlite3.connect(
                    self._path, timeout=self._patience, isolation_level=None, check_same_thread=False
                )
                made.execute("PRAGMA journal_mode = WAL")
                made.execute("PRAGMA synchronous = FULL")
                made.executescript(_SCHEMA)
            self._connection = made
        return self._connection


@contextmanager
def _meaning(away: type[Unavailable | OutcomeUnknown]) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _AWAY:
            raise
        raise away(f"SQLite: {error.sqlite_errorname}") from error


def _apply(connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[Result]:
    """Look, plan, write: nobody else does meanwhile."""
    results = _faults(operations)
    batch = [(position, one) for position, one in enumerate(operations) if position not in results]
    records = {one.resource: _record(connection, one.resource) for _, one in batch}
    there = {resource: record for resource, record in records.items() if record is not None}
    for group in plan(batch, there, _known(connection, [one.id for _, one in batch])):
        _write(connection, group)
        results |= dict(group.answers)
    return [results[position] for position in range(len(operations))]


def _faults(operations: Sequence[Operation]) -> dict[int, Result]:
    """Of those that are not JSON, and of what follows them on the same record."""
    faults: dict[int, Result] = {}
    spoiled: dict[Resource, Fault] = {}
    for position, one in enumerate(operations):
        try:
            encode_record(Record(one.resource, 0, one.payload, 0.0, 0.0))
        except (TypeError, ValueError) as error:
            spoiled.setdefault(one.resource, Fault(error))
        if one.resource in spoiled:
            faults[position] = spoiled[one.resource]
    return faults


def _record(connection: sqlite3.Connection, resource: Resource) -> Record | None:
    row = connection.execute("SELECT record FROM records WHERE collection = ? AND id = ?", resource).fetchone()
    return decode_record(row[0]) if row else None


def _known(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for id_ in ids:
        row = connection.execute("SELECT fingerprint, outcome FROM operations WHERE id = ?", (id_,)).fetchone()
        if row:
            found[id_] = Known(row[0], decode_outcome(row[1]))
    return found


def _write(connection: sqlite3.Connection, group: Group) -> None:
    if group.record is not None:
        row = (*group.resource, group.record.deleted, encode_record(group.record))
        connection.execute("REPLACE INTO records VALUES (?, ?, ?, ?)", row)
    for operation, outcome in group.entries:
        entry = (operation.id, operation.fingerprint, encode_outcome(outcome), time.time())
        connection.execute("INSERT INTO operations VALUES (?, ?, ?, ?)", entry)
