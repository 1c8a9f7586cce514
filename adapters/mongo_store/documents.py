"""The engine's values as documents, and back.

A document of a record: `_id` (`collection/id`), `revision` (of the document: every write of it counts), `version`
(0 where there is no record, only refusals to remember), `data`, `created_at`, `updated_at`, `ungated_at`, `operations`
(oldest first), `archived` (some have been moved out), `touched_at` (by the server's clock). An operation: `id`, `twin`
(the same), `fingerprint`, then `effect`, `version`, times, and `data` of a merge; or `problem`, `detail`. One that was
moved out is a document: `_id` (its id), `operations` (itself alone, without `id`), `applied_at`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne

from holdfast.operations.model import (
    Applied,
    Effect,
    Kind,
    Operation,
    Outcome,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
)
from holdfast.operations.plan import Group, Known

from .errors import Unstorable
from .values import date, encode, seconds, size

Entry = dict[str, Any]

# Operations that a document may hold; all that were there are moved out before there are more.
_MOST = 32
# Bytes that the operations of a document may take before they are moved out.
_HEAVY = 1 << 20
# Bytes of a document, a little below MongoDB's limit; an operation takes about this much besides its data.
_LARGEST = (16 << 20) - (64 << 10)
_ENTRY = 512


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of one resource. touched_at: when it was last written, None where it never was."""

    revision: int = 0
    record: Record | None = None
    entries: Sequence[Entry] = ()
    archived: bool = False
    touched_at: DatetimeMS | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One group as a statement. move: what must be done before it is sent."""

    resource: Resource
    statement: UpdateOne
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """How operations are moved out of their record's document, before a write takes them out of it.

    loosen: takes the twins of their ids out of it, and comes first. copies: documents that have the twins.
    """

    loosen: UpdateOne
    copies: list[Entry]


def key(resource: Resource) -> str:
    return str(resource)


def keys(resources: Iterable[Resource]) -> list[str]:
    """The keys of these resources, without those that cannot be in the store, not being Unicode."""
    return [key(resource) for resource in resources if _is_unicode(key(resource))]


def held(document: Entry) -> Held:
    return Held(
        document["revision"],
        record(document),
        document.get("operations", ()),
        document.get("archived", False),
        document["touched_at"],
    )


def record(document: Entry) -> Record | None:
    """None where the document only remembers refusals."""
    return _record(Resource.parse(document["_id"]), document, document["data"]) if document["version"] else None


def known(entry: Entry, operation: Operation) -> Known:
    """operation: one under the entry's id; it brings along what only a merge leaves in the store."""
    if "problem" in entry:
        return Known(entry["fingerprint"], Refused(Problem(ProblemType(entry["problem"]), entry["detail"])))
    data = entry.get("data") if operation.kind is Kind.MERGE else operation.payload
    applied = Applied(Effect(entry["effect"]), _record(operation.resource, entry, data))
    return Known(entry["fingerprint"], applied)


def write(group: Group, before: Held) -> Write:
    """Guarded by the revision, so that it lands only where nothing was written since, and whole.

    It is an upsert, so that the server names each that does not land: it then tries to add what is there already.
    Raises Unstorable, or TypeError for data that is not JSON.
    """
    data = None if group.record is None or group.record.data is None else encode(group.record.data)
    entries = [_entry(operation, outcome, data, group.record) for operation, outcome in group.entries]
    fields: Entry = {"revision": before.revision + 1}
    if group.record is not None:
        fields |= {"version": group.record.version, "data": data, **_times(group.record)}
    elif not before.revision:
        fields["version"] = 0
    update: Entry = {"$set": fields, "$currentDate": {"touched_at": True}}
    crowded = _crowded(before.entries, entries, size(data))
    if crowded:
        fields |= {"archived": True, "operations": entries}
    else:
        update["$push"] = {"operations": {"$each": entries}}
    statement = UpdateOne({"_id": key(group.resource), "revision": before.revision}, update, upsert=True)
    return Write(group.resource, statement, _move(group.resource, before) if crowded else None)


def _record(resource: Resource, times: Entry, data: Any) -> Record:
    return Record(
        resource,
        times["version"],
        data,
        _at(times, "created_at"),
        _at(times, "updated_at"),
        seconds(times.get("ungated_at")),
    )


def _at(times: Entry, name: str) -> float:
    at = seconds(times[name])
    assert at is not None  # noqa: S101 - every record has these
    return at


def _times(record: Record) -> Entry:
    times = {"created_at": date(record.created_at), "updated_at": date(record.updated_at)}
    return times if record.ungated_at is None else times | {"ungated_at": date(record.ungated_at)}


def _entry(operation: Operation, outcome: Outcome, last: RawBSONDocument | None, record: Record | None) -> Entry:
    """last: the data of the group's last record, which need not be encoded again."""
    entry: Entry = {"id": operation.id, "twin": operation.id, "fingerprint": operation.fingerprint}
    if isinstance(outcome, Refused):
        return entry | {"problem": outcome.problem.type.value, "detail": outcome.problem.detail}
    made = outcome.record
    entry |= {"effect": outcome.effect.value, "version": made.version, **_times(made)}
    if operation.kind is Kind.MERGE and made.data is not None:
        entry["data"] = last if made is record else encode(made.data)
    return entry


def _crowded(before: Sequence[Entry], entries: Sequence[Entry], data: int) -> bool:
    """Whether the operations in the document must make room. Raises Unstorable where that would not be enough."""
    new = data + sum(size(entry.get("data")) + _ENTRY for entry in entries)
    if new > _LARGEST:
        raise Unstorable("the record, with what must be remembered of it, would be larger than 16 MB")
    if not before:
        return False
    weight = len(bson.encode({"": before})) if any("data" in entry for entry in before) else 0
    return len(before) + len(entries) > _MOST or weight > _HEAVY or weight + new > _LARGEST - _HEAVY


def _move(resource: Resource, before: Held) -> Move:
    """Move all operations of the document out of it.

    Its revision stays, so that the write which comes after this still finds the one that it was planned on.
    """
    guard = {"_id": key(resource), "revision": before.revision}
    return Move(
        UpdateOne(guard, {"$unset": {"operations.$[].twin": ""}}), [_copy(each, before) for each in before.entries]
    )


def _copy(entry: Entry, before: Held) -> Entry:
    """applied_at: no earlier than it was applied."""
    kept = {name: value for name, value in entry.items() if name != "id"} | {"twin": entry["id"]}
    return {"_id": entry["id"], "operations": [kept], "applied_at": before.touched_at}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
