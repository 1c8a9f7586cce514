"""The ledger in this process's memory."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from holdfast.clock import Clock, system_clock
from holdfast.errors import Overloaded
from holdfast.operations.model import Applied, Job, Operation, Resource, State
from holdfast.operations.ports import (
    Again,
    Backlog,
    Cancelled,
    Dead,
    Done,
    Gate,
    Hold,
    Lease,
    LedgerStats,
    Settlement,
    Verdict,
)
from holdfast.operations.tally import Tally, bucket, counted_as

from .mailbox import Entry, Mailbox

# Seconds, told to whom a full ledger refuses.
_RETRY_AFTER = 5.0


class MemoryLedger:
    """The ledger of one process.

    max_waiting: operations held at the same time, dead ones included.
    retention:   seconds for which a settled job is remembered.
    """

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        max_waiting: int = 1_000_000,
        retention: float = 86_400.0,
    ) -> None:
        self._clock = clock
        self._max_waiting = max_waiting
        self._retention = retention
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[str, Entry] = {}
        self._dead: dict[str, Entry] = {}
        self._mailboxes: dict[Resource, Mailbox] = {}
        self._stamps = count(1)
        self._tokens = count(1)
        self._counts: Counter[str] = Counter()

    async def gate(self, operations: Sequence[Operation]) -> list[Gate]:
        return [
            Gate(self._job(operation.id) if operation.keyed else None, operation.resource in self._mailboxes)
            for operation in operations
        ]

    async def hold(self, holds: Sequence[Hold]) -> list[Job]:
        new = {hold.operation.id for hold in holds} - self._entries.keys()
        if len(self._waiting) + len(self._dead) + len(new) > self._max_waiting:
            raise Overloaded(f"the ledger is full: {self._max_waiting} operations", _RETRY_AFTER)
        for hold in holds:
            self._hold(hold)
        return [self._job_of(self._entries[hold.operation.id]) for hold in holds]

    async def lease(
        self, *, limit: int, depth: int, ttl: float, resources: Sequence[Resource] | None = None
    ) -> list[Lease]:
        leases: list[Lease] = []
        for resource in self._due(limit) if resources is None else resources:
            if limit <= 0:
                break
            if self._is_due(resource):
                leases.append(self._lease(resource, min(limit, depth), ttl))
                limit -= len(leases[-1].jobs)
        return leases

    async def settle(self, settlements: Sequence[Settlement]) -> list[int]:
        return [self._settle(settlement) for settlement in settlements]

    async def due(self, *, limit: int) -> list[Resource]:
        return self._due(limit)

    async def waiting(self, resources: Sequence[Resource]) -> list[tuple[Operation, ...]]:
        return [tuple(entry.operation for entry in self._waiting_for(resource)) for resource in resources]

    async def last_waiting(self, resources: Sequence[Resource]) -> list[str | None]:
        waiting = await self.waiting(resources)
        return [operations[-1].id if operations else None for operations in waiting]

    async def backlog(self, *, cursor: int) -> Backlog:
        entered = [resource for resource, mailbox in self._mailboxes.items() if mailbox.entered > cursor]
        newest = max((mailbox.entered for mailbox in self._mailboxes.values()), default=cursor)
        return Backlog(entered, max(cursor, newest), len(self._mailboxes))

    async def jobs(self, ids: Sequence[str]) -> list[Job | None]:
        return [self._job(id_) for id_ in ids]

    async def list_jobs(self, *, state: State | None, cursor: str | None, limit: int) -> tuple[list[Job], str | None]:
        after = _stamp(cursor)
        listed = (entry for entry in self._entries.values() if state in (None, entry.state) and entry.stamp > after)
        page = heapq.nsmallest(limit, listed, key=lambda entry: entry.stamp)
        more = str(page[-1].stamp) if page and len(page) == limit else None
        return [self._job_of(entry) for entry in page], more

    async def cancel(self, operation_id: str, *, withdrawn: bool = False) -> Cancelled:
        entry = self._entries.get(operation_id)
        if entry is None:
            return Cancelled(None, done=False)
        if entry.waits and (withdrawn or not entry.unsure):
            self._take_off(entry)
            self._end(entry, State.CANCELLED)
            self._counts["cancelled"] += 1
        return Cancelled(self._job_of(entry), done=entry.state is State.CANCELLED)

    async def retry(self, operation_id: str) -> Job | None:
        entry = self._entries.get(operation_id)
        if entry is not None and entry.state is State.DEAD:
            self._revive(entry)
        return self._job(operation_id)

    async def prune(self, *, limit: int) -> int:
        horizon = self._now() - self._retention
        old = (
            entry
            for entry in self._entries.values()
            if entry.settled_at is not None and entry.state is not State.DEAD and entry.settled_at <= horizon
        )
        pruned = heapq.nsmallest(limit, old, key=lambda entry: entry.stamp)
        for entry in pruned:
            del self._entries[entry.operation.id]
        return len(pruned)

    async def stats(self) -> LedgerStats:
        oldest = next(iter(self._waiting.values()), None)
        return LedgerStats(
            waiting=len(self._waiting),
            dead=len(self._dead),
            mailboxes=len(self._mailboxes),
            oldest=oldest.operation.accepted_at if oldest else None,
            tally=Tally.of(self._counts),
        )

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to close."""

    # Reading

    def _now(self) -> float:
        return round(self._clock.time(), 3)

    def _is_due(self, resource: Resource) -> bool:
        mailbox = self._mailboxes.get(resource)
        return mailbox is not None and mailbox.due <= self._now()

    def _due(self, limit: int) -> list[Resource]:
        due = [(mailbox.due, str(resource), resource) for resource, mailbox in self._mailboxes.items()]
        now = self._now()
        return [resource for when, _, resource in heapq.nsmallest(limit, due) if when <= now]

    def _waiting_for(self, resource: Resource) -> list[Entry]:
        mailbox = self._mailboxes.get(resource)
        return [entry for entry in mailbox.entries if not entry.state.settled] if mailbox else []

    def _job(self, operation_id: str) -> Job | None:
        entry = self._entries.get(operation_id)
        return self._job_of(entry) if entry else None

    def _job_of(self, entry: Entry) -> Job:
        due = math.inf if entry.state.settled else self._mailboxes[entry.operation.resource].due
        return entry.job(None if math.isinf(due) else due)

    # Holding

    def _hold(self, hold: Hold) -> None:
        entry = self._entries.get(hold.operation.id)
        if entry is None:
            entry = Entry(hold.operation, next(self._stamps), self._now())
            self._entries[hold.operation.id] = entry
            self._append(entry)
            self._counts["held"] += 1
        if hold.unsure and not entry.state.settled:
            entry.unsure = True

    def _append(self, entry: Entry) -> None:
        resource = entry.operation.resource
        mailbox = self._mailboxes.get(resource)
        if mailbox is None:
            mailbox = self._mailboxes[resource] = Mailbox(next(self._stamps), self._now(), [])
        mailbox.entries.append(entry)
        self._waiting[entry.operation.id] = entry

    # Leasing

    def _lease(self, resource: Resource, depth: int, ttl: float) -> Lease:
        token = str(next(self._tokens))
        leased = self._mailboxes[resource].lease(depth, token, round(self._now() + ttl, 3))
        return Lease(resource, token, tuple(self._job_of(entry) for entry in leased))

    # Settling

    def _settle(self, settlement: Settlement) -> int:
        resource, token, _ = settlement.lease
        mailbox = self._mailboxes.get(resource)
        if mailbox is None:
            return 0
        holder = mailbox.token == token
        settled, position = 0, 0
        for verdict in settlement.verdicts:
            entry = next(iter(mailbox.entries[position : position + 1]), None)
            late = not holder and not isinstance(verdict, Done)
            if late or entry is None or entry.operation.id != verdict.operation_id or entry.state.settled:
                break
            stays = self._judge(entry, verdict)
            settled += entry.state.settled
            position += stays
            if not stays:
                del mailbox.entries[position]
        self._tidy(resource)
        if holder:
            mailbox.end_lease(round(self._now() + settlement.due_in, 3))
        return settled

    def _judge(self, entry: Entry, verdict: Verdict) -> bool:
        """Record the verdict; return whether its operation stays in the mailbox."""
        match verdict:
            case Done(_, outcome):
                entry.outcome = outcome
                self._end(entry, State.SUCCEEDED if isinstance(outcome, Applied) else State.FAILED)
                self._count_replay(entry, counted_as(outcome))
                return False
            case Dead(_, error, blocks):
                entry.attempts += 1
                entry.last_error, entry.blocks = error, blocks
                self._end(entry, State.DEAD)
                self._counts["died"] += 1
                return blocks
            case Again(_, error, counts, unsure):
                entry.state = State.RETRYING
                entry.attempts += counts
                self._counts["faults" if counts else "put_back"] += 1
                entry.last_error = error if error is not None else entry.last_error
                entry.unsure = entry.unsure or unsure
                return True

    def _count_replay(self, entry: Entry, name: str) -> None:
        took = max(0, round((self._now() - entry.held_at) * 1000))
        self._counts.update({name: 1, bucket(took): 1, "replay_ms": took})

    def _end(self, entry: Entry, state: State) -> None:
        entry.state = state
        entry.settled_at = self._now()
        entry.stamp = next(self._stamps)
        del self._waiting[entry.operation.id]
        if state is State.DEAD:
            self._dead[entry.operation.id] = entry
        else:
            entry.operation = replace(entry.operation, payload=None)

    def _tidy(self, resource: Resource) -> None:
        """A mailbox that is empty is not there, and one whose head is dead is never due."""
        mailbox = self._mailboxes[resource]
        if not mailbox.entries:
            del self._mailboxes[resource]
        elif mailbox.blocked:
            mailbox.due = math.inf

    # What an operator decides

    def _take_off(self, entry: Entry) -> None:
        resource = entry.operation.resource
        mailbox = self._mailboxes[resource]
        if mailbox.entries[0] is entry:
            mailbox.due = self._now()
        mailbox.entries.remove(entry)
        self._tidy(resource)

    def _revive(self, entry: Entry) -> None:
        del self._dead[entry.operation.id]
        entry.state, entry.attempts, entry.settled_at = State.RETRYING, 0, None
        entry.stamp, entry.held_at = next(self._stamps), self._now()
        self._counts["revived"] += 1
        if not entry.blocks:
            self._append(entry)
            return
        entry.blocks = False
        self._waiting[entry.operation.id] = entry
        mailbox = self._mailboxes[entry.operation.resource]
        if mailbox.entries[0] is entry:
            mailbox.due = self._now()


def _stamp(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit()):
        raise ValueError(f"not a cursor of a list of jobs: {cursor!r}")
    return int(cursor)
