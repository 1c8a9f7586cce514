"""The ledger's part of a trace: gate, hold, lease, settle, and the replay of each operation.

In the terms of the semantic conventions for messaging, to hold is to send, to lease is to receive, and a replay is the
processing of one message: its span belongs to the trace of the request that sent it, however long ago that was.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence

from opentelemetry.trace import Link, Span, SpanKind

from holdfast.operations.model import Job, Operation, Resource
from holdfast.operations.ports import Again, Dead, Done, Gate, Hold, Lease, Ledger, Settlement, Verdict

from ..around import around
from .spans import Attributes, Spans, Value, about, database, fail, is_sampled, within
from .store import outcome_of

# Leases that were never settled, since their process lost the ledger, are forgotten beyond so many.
_MOST_LEASES = 10_000


def trace_ledger(spans: Spans, ledger: Ledger, system: str) -> Ledger:
    """The same ledger, with spans of its calls. system: as `db.system.name` knows it."""
    traced = _Traced(spans, ledger, system)
    return around(ledger, gate=traced.gate, hold=traced.hold, lease=traced.lease, settle=traced.settle)


class _Traced:
    def __init__(self, spans: Spans, ledger: Ledger, system: str) -> None:
        self._spans = spans
        self._ledger = ledger
        self._system = system
        self._leased: OrderedDict[tuple[Resource, str], int] = OrderedDict()

    async def gate(self, operations: Sequence[Operation]) -> list[Gate]:
        attributes = database(self._system, "gate", len(operations))
        with self._spans.call("gate", operations, SpanKind.CLIENT, attributes):
            return await self._ledger.gate(operations)

    async def hold(self, holds: Sequence[Hold]) -> list[Job]:
        operations = [hold.operation for hold in holds]
        attributes = self._messaging(
            "hold", "send", len(holds), {"holdfast.breaker.store": self._spans.breaker("store")}
        )
        with self._spans.call("hold", operations, SpanKind.PRODUCER, attributes) as span:
            jobs = await self._ledger.hold(holds)
            if span.is_recording():
                for operation in operations:
                    self._spans.note(operation, {"holdfast.outcome": "held"})
            return jobs

    async def lease(
        self, *, limit: int, depth: int, ttl: float, resources: Sequence[Resource] | None = None
    ) -> list[Lease]:
        """A span only of what was found, since idle workers ask often; which traces it is in shows afterwards."""
        began = time.time_ns()
        leases = await self._ledger.lease(limit=limit, depth=depth, ttl=ttl, resources=resources)
        operations = [job.operation for lease in leases for job in lease.jobs]
        if operations:
            attributes = self._messaging("lease", "receive", len(operations), {"holdfast.mailboxes": len(leases)})
            with self._spans.call("lease", operations, SpanKind.CLIENT, attributes, since=began) as span:
                if span.is_recording():
                    self._remember(leases, began)
        return leases

    async def settle(self, settlements: Sequence[Settlement]) -> list[int]:
        operations = [job.operation for settlement in settlements for job in settlement.lease.jobs]
        attributes = self._messaging("settle", "settle", len(operations), {"holdfast.mailboxes": len(settlements)})
        with self._spans.call("settle", operations, SpanKind.CLIENT, attributes) as span:
            counts = await self._ledger.settle(settlements)
            if span.is_recording():
                for settlement in settlements:
                    self._replayed(settlement, span)
            return counts

    def _messaging(self, name: str, kind: str, count: int, more: Attributes) -> dict[str, Value]:
        return {
            "messaging.system": self._system,
            "messaging.operation.name": name,
            "messaging.operation.type": kind,
            "messaging.destination.name": "ledger",
            "messaging.batch.message_count": count,
            **more,
        }

    def _remember(self, leases: Sequence[Lease], began: int) -> None:
        for lease in leases:
            self._leased[lease.resource, lease.token] = began
        while len(self._leased) > _MOST_LEASES:
            self._leased.popitem(last=False)

    def _replayed(self, settlement: Settlement, settling: Span) -> None:
        lease = settlement.lease
        since = self._leased.pop((lease.resource, lease.token), None)
        for job, verdict in zip(lease.jobs, settlement.verdicts, strict=False):
            if is_sampled(job.operation.traceparent):
                self._replay(job, verdict, settling, since)

    def _replay(self, job: Job, verdict: Verdict, settling: Span, since: int | None) -> None:
        operation = job.operation
        attributes: Attributes = {
            "messaging.system": self._system,
            "messaging.operation.name": "replay",
            "messaging.operation.type": "process",
            "messaging.destination.name": "ledger",
            "messaging.message.id": operation.id,
            "holdfast.outcome": _outcome(verdict),
            "holdfast.attempts": job.attempts,
            "holdfast.held_for": round(time.time() - operation.accepted_at, 3),
            **about(operation),
        }
        links = [Link(settling.get_span_context())]
        span = self._spans.tracer.start_span(
            "replay", within(operation), SpanKind.CONSUMER, attributes, links, start_time=since
        )
        if isinstance(verdict, Dead):
            fail(span, "dead")
        span.end()


def _outcome(verdict: Verdict) -> str:
    match verdict:
        case Done(_, outcome):
            return outcome_of(outcome)
        case Dead():
            return "dead"
        case Again():
            return "again"
