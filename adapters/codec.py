"""The engine's values as JSON, for whatever keeps them as bytes.

A field that is not known is ignored, so that processes of two versions can share a server. An operation's payload is
apart from the rest: it can be dropped without touching what remains.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.operations.model import Applied, Effect, Operation, Outcome, Problem, Record, Refused, Resource

_NO_PAYLOAD = b"null"


class _Outcome(msgspec.Struct, omit_defaults=True):
    """Either effect and record, or problem."""

    effect: Effect | None = None
    record: Record | None = None
    problem: Problem | None = None
    replayed: bool = False


_encode = msgspec.json.Encoder().encode
_decode_operation = msgspec.json.Decoder(Operation).decode
_decode_outcome = msgspec.json.Decoder(_Outcome).decode
_decode_record = msgspec.json.Decoder(Record).decode


def encode_operation(operation: Operation) -> tuple[bytes, bytes]:
    """Everything but the payload, and the payload."""
    rest: dict[str, Any] = {
        "id": operation.id,
        "principal": operation.principal,
        "resource": operation.resource,
        "kind": operation.kind,
        "fingerprint": operation.fingerprint,
        "accepted_at": operation.accepted_at,
    }
    if operation.precondition is not None:
        rest["precondition"] = operation.precondition
    if operation.keyed:
        rest["keyed"] = True
    if operation.traceparent is not None:
        rest["traceparent"] = operation.traceparent
    rest["origin"] = operation.origin
    return _encode(rest), _encode(operation.payload)


def decode_operation(rest: bytes, payload: bytes | None) -> Operation:
    """The operation from the two parts that `encode_operation` makes. payload: None if it was dropped."""
    return _decode_operation(b'%b,"payload":%b}' % (rest[:-1], payload or _NO_PAYLOAD))


def encode_outcome(outcome: Outcome) -> bytes:
    return _encode(outcome)


def decode_outcome(data: bytes) -> Outcome:
    stored = _decode_outcome(data)
    if stored.effect is not None and stored.record is not None:
        return Applied(stored.effect, stored.record, stored.replayed)
    if stored.problem is not None:
        return Refused(stored.problem, stored.replayed)
    raise ValueError("an outcome is either an effect on a record or a problem")


def encode_record(record: Record) -> bytes:
    return _encode(record)


def decode_record(data: bytes) -> Record:
    return _decode_record(data)


def resource_text(resource: Resource) -> bytes:
    return str(resource).encode()


def parse_resource(text: bytes) -> Resource:
    return Resource.parse(text.decode())
