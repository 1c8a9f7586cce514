"""The store's part of a trace: apply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from opentelemetry.trace import SpanKind

from holdfast.operations.model import Applied, Operation, Refused, Result
from holdfast.operations.ports import Store

from ..around import around
from .spans import Spans, database


def trace_store(spans: Spans, store: Store, system: str) -> Store:
    """The same store, with spans of `apply`. system: as `db.system.name` knows it."""

    async def apply(operations: Sequence[Operation]) -> list[Result]:
        with spans.call("apply", operations, SpanKind.CLIENT, database(system, "apply", len(operations))) as span:
            results = await store.apply(operations)
            if span.is_recording():
                found = Counter(map(outcome_of, results))
                span.set_attributes({f"holdfast.{outcome}": count for outcome, count in found.items()})
                for operation, result in zip(operations, results, strict=True):
                    spans.note(operation, {"holdfast.outcome": outcome_of(result)})
            return results

    return around(store, apply=apply)


def outcome_of(result: Result) -> str:
    if isinstance(result, Applied):
        return "applied"
    return "refused" if isinstance(result, Refused) else "fault"
