"""What the ledger's scripts answer, as the engine's values. Times come in milliseconds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.operations.model import Job, State
from holdfast.operations.ports import Gate, Hold, Lease, LedgerStats
from holdfast.operations.tally import Tally

from ..codec import decode_operation, decode_outcome, parse_resource

log = logging.getLogger(__name__)

_STATES = {state.value.encode(): state for state in State}


def seconds(milliseconds: bytes | int | None) -> float | None:
    """None for what is not there, and for `inf`, a time that never comes."""
    return None if milliseconds is None or milliseconds == b"inf" else int(milliseconds) / 1000


def job(fields: Sequence[Any]) -> Job:
    operation, payload, state, attempts, error, settled_at, outcome, unsure, due = fields
    return Job(
        decode_operation(operation, payload),
        _STATES[state],
        int(attempts or 0),
        seconds(due),
        None if error is None else error.decode(),
        seconds(settled_at),
        None if outcome is None else decode_outcome(outcome),
        unsure is not None,
    )


def job_or_none(fields: Sequence[Any] | None) -> Job | None:
    return None if fields is None else job(fields)


def held_job(hold: Hold, reply: bytes | int | Sequence[Any]) -> Job:
    """reply: when the mailbox of an operation that is new is due, or the job of one that was held already."""
    if isinstance(reply, bytes | int):
        return Job(hold.operation, State.QUEUED, next_attempt_at=seconds(reply), unsure=hold.unsure)
    return job(reply)


def gate(reply: int | Sequence[Any]) -> Gate:
    if isinstance(reply, int):
        return Gate(None, bool(reply))
    waiting, fields = reply
    return Gate(job(fields), bool(waiting))


def report(missing: Sequence[bytes]) -> None:
    if missing:
        log.error("operations %s were in a mailbox and nowhere else: they are lost", b", ".join(missing).decode())


def leases(token: str, taken: Sequence[Any]) -> Iterator[Lease]:
    """What cannot be read stays leased and holds up nobody else: a newer version may have written it."""
    for resource, jobs in taken:
        try:
            yield Lease(parse_resource(resource), token, tuple(map(job, jobs)))
        except (ValueError, KeyError):
            log.exception("what is held for %s cannot be read, and is left alone", resource.decode())


def stats(reply: Sequence[Any]) -> LedgerStats:
    waiting, dead, mailboxes, oldest, tally = reply
    counts = {name.decode(): int(count) for name, count in zip(tally[::2], tally[1::2], strict=True)}
    accepted_at = oldest and decode_operation(oldest, None).accepted_at
    return LedgerStats(waiting, dead, mailboxes, accepted_at, Tally.of(counts))
