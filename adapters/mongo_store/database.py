"""Everything that a store says to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo.asynchronous.client_session import AsyncClientSession

from holdfast.errors import Transient, Unavailable
from holdfast.operations.model import Operation, Record, Resource
from holdfast.operations.plan import Known

from . import documents, errors, indexes
from .client import Database
from .documents import Entry, Held, Move, Write

_WITHOUT_OPERATIONS = {"operations": 0}


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has of a batch."""

    held: dict[Resource, Held] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)

    @property
    def records(self) -> dict[Resource, Record]:
        return {resource: held.record for resource, held in self.held.items() if held.record is not None}


class Look:
    """One look at what the store has of some operations, in an order in which nothing is missed.

    An operation is moved by being copied and then taken out of its record's document: whoever looks for it in the
    documents of records first finds it. The session keeps that order over a change of the primary.
    """

    def __init__(self, db: Database, session: AsyncClientSession | None, operations: Sequence[Operation]) -> None:
        self._records = db[indexes.RECORDS]
        self._session = session
        self._asked: dict[str, list[Operation]] = {}
        for operation in operations:
            self._asked.setdefault(operation.id, []).append(operation)
        self.found = Found()

    async def at_documents(self, resources: Iterable[Resource]) -> None:
        """At the records' own, with the operations in them."""
        if keys := documents.keys(resources):
            await self._find({"_id": {"$in": keys}})

    async def at_operations(self) -> None:
        """At any document that has one of those not found yet."""
        if ids := self._missing(lambda _: True):
            await self._find({"operations.id": {"$in": ids, "$exists": True}}, hint=indexes.OPERATION)

    async def at_moved(self, *, every: bool) -> None:
        """At the moved ones, for those not found yet: for every one, or only where its record has had some moved."""
        held = self.found.held
        ids = self._missing(lambda one: every or (one.resource in held and held[one.resource].archived))
        if ids:
            with errors.translated():
                for document in await self._records.find({"_id": {"$in": ids}}, session=self._session).to_list():
                    self._learn(document["_id"], *document["operations"])

    def _missing(self, which: Callable[[Operation], bool]) -> list[str]:
        asked = ((id_, those) for id_, those in self._asked.items() if id_ not in self.found.known)
        return [id_ for id_, those in asked if any(map(which, those))]

    async def _find(self, query: Entry, **options: Any) -> None:
        with errors.translated():
            for document in await self._records.find(query, session=self._session, **options).to_list():
                held = documents.held(document)
                self.found.held[Resource.parse(document["_id"])] = held
                for entry in held.entries:
                    self._learn(entry["id"], entry)

    def _learn(self, id_: str, entry: Entry) -> None:
        if those := self._asked.get(id_):
            own = (one for one in those if one.fingerprint == entry["fingerprint"])
            self.found.known[id_] = documents.known(entry, next(own, those[0]))


async def loosen(db: Database, session: AsyncClientSession | None, moves: Sequence[Move]) -> None:
    """The first step of moves. Raises Outrun where somebody else was quicker."""
    try:
        with errors.translated():
            await db[indexes.RECORDS].bulk_write([each.loosen for each in moves], ordered=False, session=session)
    except errors.StatementsFailed as failed:
        raise errors.of_statement(failed.errors[0]) from None


async def copy(db: Database, session: AsyncClientSession | None, moves: Sequence[Move]) -> None:
    """The second step of moves; copies that are there already stay as they are.

    Raises Outrun where one cannot be made, since the first step has found another revision of its document.

    The server's complaint does not tell the two apart: it names either unique key of a copy. So they are counted.
    """
    copies = [copy for each in moves for copy in each.copies]
    records = db[indexes.RECORDS]
    try:
        with errors.translated():
            await records.insert_many(copies, ordered=False, session=session)
    except errors.StatementsFailed as failed:
        with errors.translated():
            ids = [copy["_id"] for copy in copies]
            if await records.count_documents({"_id": {"$in": ids}}, session=session) < len(ids):
                raise errors.of_statement(failed.errors[0]) from None


async def write(db: Database, session: AsyncClientSession | None, writes: Sequence[Write]) -> dict[int, Exception]:
    """Send all; return why for each that has not landed, by its position: Outrun, Unstorable or CommandFailed.

    Raises Transient, or the error of the whole.
    """
    try:
        with errors.translated():
            await db[indexes.RECORDS].bulk_write([each.statement for each in writes], ordered=False, session=session)
    except errors.StatementsFailed as failed:
        ends = {error["index"]: errors.of_statement(error) for error in failed.errors}
        for error in ends.values():
            if isinstance(error, Transient):
                raise error from None
        return ends
    return {}


async def read_batch(db: Database, resources: Sequence[Resource]) -> list[Record | None]:
    with errors.translated():
        query = {"_id": {"$in": documents.keys(set(resources))}}
        found = await db[indexes.RECORDS].find(query, _WITHOUT_OPERATIONS).to_list()
    records = {document["_id"]: documents.record(document) for document in found}
    return [records.get(documents.key(resource)) for resource in resources]


async def read_page(db: Database, collection: str, after: str | None, limit: int) -> list[Record]:
    """`0` is the character after `/`."""
    above = {"$gte": f"{collection}/"} if after is None else {"$gt": f"{collection}/{after}"}
    query = {"_id": {**above, "$lt": f"{collection}0"}, "data": {"$type": "object"}}
    try:
        with errors.translated():
            cursor = db[indexes.RECORDS].find(query, _WITHOUT_OPERATIONS, hint="_id_").sort("_id", 1).limit(limit)
            found = map(documents.record, await cursor.to_list())
    except UnicodeEncodeError:
        return []  # no such name can be there
    return [record for record in found if record is not None]


async def prune(db: Database, before: float, limit: int) -> int:
    old = DatetimeMS(round(before * 1000))
    with errors.translated():
        count = await _prune_moved(db, old, limit)
        return count + (await _prune_documents(db, old, limit - count) if count < limit else 0)


async def ping(db: Database) -> None:
    with errors.translated():
        hello = await db.command("hello")
    if not hello.get("isWritablePrimary"):
        raise Unavailable("MongoDB takes no writes: the server is not the primary")


async def _prune_moved(db: Database, old: DatetimeMS, limit: int) -> int:
    moved = db[indexes.RECORDS]
    query = {"applied_at": {"$lt": old, "$exists": True}}
    found = await moved.find(query, {"_id": 1}, hint=indexes.APPLIED).limit(limit).to_list()
    done = await moved.delete_many({"_id": {"$in": [entry["_id"] for entry in found]}}) if found else None
    return done.deleted_count if done else 0


async def _prune_documents(db: Database, old: DatetimeMS, limit: int) -> int:
    """A document that is written meanwhile is left alone, whatever the count says."""
    records = db[indexes.RECORDS]
    query = {"touched_at": {"$lt": old}, "operations.id": {"$exists": True}}
    whole: list[str] = []
    count = 0
    async for document in records.find(query, {"operations.id": 1}, hint=indexes.TOUCHED).limit(limit):
        ids = [entry["id"] for entry in document["operations"]]
        if count + len(ids) > limit:
            ids = ids[: limit - count]
            change = {"$pull": {"operations": {"id": {"$in": ids}}}, "$inc": {"revision": 1}}
            await records.update_one({"_id": document["_id"], "touched_at": {"$lt": old}}, change)
        else:
            whole.append(document["_id"])
        count += len(ids)
        if count == limit:
            break
    await _forget(db, whole, old)
    return count


async def _forget(db: Database, keys: list[str], old: DatetimeMS) -> None:
    """The operations of these documents, and the documents that have nothing else."""
    these = {"_id": {"$in": keys}, "touched_at": {"$lt": old}}
    await db[indexes.RECORDS].delete_many({**these, "version": 0})
    await db[indexes.RECORDS].update_many(these, {"$unset": {"operations": ""}, "$inc": {"revision": 1}})
