"""Records and jobs as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.operations.model import Applied, Effect, Job, Outcome, Record
from holdfast.operations.ports import LedgerStats

from .problems import REFUSALS, refusal_details

STATUS = {Effect.CREATED: 201, Effect.UPDATED: 200, Effect.DELETED: 204}

encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=1024)
def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{_to_the_second(whole)}.{milliseconds:03d}Z"


@lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def record(item: Record) -> dict[str, Any]:
    return {
        "collection": item.resource.collection,
        "id": item.resource.id,
        "version": item.version,
        "data": item.data,
        "created_at": timestamp(item.created_at),
        "updated_at": timestamp(item.updated_at),
    }


def job(item: Job) -> dict[str, Any]:
    operation = item.operation
    return {
        "id": operation.id,
        "state": item.state.value,
        "resource": str(operation.resource),
        "kind": operation.kind.value,
        "accepted_at": timestamp(operation.accepted_at),
        "attempts": item.attempts,
        "next_attempt_at": _maybe(item.next_attempt_at),
        "last_error": item.last_error,
        "settled_at": _maybe(item.settled_at),
        "result": None if item.outcome is None else result(item.outcome),
    }


def result(outcome: Outcome) -> dict[str, Any]:
    """What the client would have been answered, had it been applied at once."""
    if isinstance(outcome, Applied):
        shown = None if outcome.effect is Effect.DELETED else record(outcome.record)
        return {"status": STATUS[outcome.effect], "record": shown}
    return {"status": REFUSALS[outcome.problem.type].status, "problem": refusal_details(outcome.problem)}


def _maybe(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def backlog(stats: LedgerStats | None) -> dict[str, Any] | None:
    """What waits in the ledger, None where that is not known."""
    if stats is None:
        return None
    return {
        "waiting": stats.waiting,
        "dead": stats.dead,
        "mailboxes": stats.mailboxes,
        "oldest_at": None if stats.oldest is None else timestamp(stats.oldest),
    }
