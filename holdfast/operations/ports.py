"""What the engine needs of the outside, batch-first: one call is one round trip for all of its items.

Every port raises `Unavailable` when the call was not attempted and `OutcomeUnknown` when it may have
happened, for the whole batch, and nothing else for the other side's troubles. Answers come in the order of
the questions. Making an adapter connects to nothing, so that a process starts while its servers are down;
it belongs to one event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .model import Job, Operation, Outcome, Record, Resource, Result, State
from .tally import Tally


class Store(Protocol):
    """Where records live."""

    async def apply(self, operations: Sequence[Operation]) -> list[Result]:
        """Apply each operation at most once, ever.

        An operation's id and outcome are stored in the same transaction as its effect. An id already there
        changes nothing: the stored outcome is the answer (`replayed`), or Refused(KEY_REUSED) where the
        fingerprint differs. Operations on one resource apply in their given order. A Refused outcome is stored
        too when the operation can come again (keyed or held). What the store will not take for the operation's
        own sake is Refused(UNSTORABLE) or Fault for that one alone; what follows a Fault on the same resource
        is not tried and is a Fault as well.
        """
        ...

    async def read(self, resources: Sequence[Resource]) -> list[Record | None]:
        """The records, tombstones of deleted ones included."""
        ...

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """Up to `limit` records that are not deleted, by id in code-point order, from the first id above `after`."""
        ...

    async def prune(self, *, before: float, limit: int) -> int:
        """Forget up to `limit` ids of operations that were applied before then; return how many."""
        ...

    async def ping(self) -> None:
        """Return if the store can take a write now."""
        ...

    async def close(self) -> None: ...


class Gate(NamedTuple):
    """job: the operation is held already. waiting: its resource has a mailbox that is not empty."""

    job: Job | None
    waiting: bool


class Hold(NamedTuple):
    """unsure: the operation, or an earlier request with its key, was tried and may have taken effect."""

    operation: Operation
    unsure: bool = False


class Lease(NamedTuple):
    """The head of one mailbox, for one holder until it runs out. jobs: oldest first, at least one."""

    resource: Resource
    token: str
    jobs: tuple[Job, ...]


class Done(NamedTuple):
    """The operation is settled: succeeded if Applied, failed if Refused."""

    operation_id: str
    outcome: Outcome


class Dead(NamedTuple):
    """The operation has failed too often. blocks: nothing behind it goes on until someone decides."""

    operation_id: str
    error: str
    blocks: bool


class Again(NamedTuple):
    """The operation is still to be done. counts: it failed by its own fault."""

    operation_id: str
    error: str | None = None
    counts: bool = False
    unsure: bool = False


Verdict = Done | Dead | Again


class Settlement(NamedTuple):
    """What became of a lease, oldest operation first; the mailbox is due again in `due_in` seconds."""

    lease: Lease
    verdicts: tuple[Verdict, ...]
    due_in: float = 0.0


class Backlog(NamedTuple):
    """entered: resources whose mailbox has filled since `cursor` was last read. size: mailboxes not empty."""

    entered: list[Resource]
    cursor: int
    size: int


@dataclass(frozen=True, slots=True)
class LedgerStats:
    """waiting: operations not settled, dead ones aside. oldest: accepted_at of the oldest of them.

    tally: of the same moment.
    """

    waiting: int
    dead: int
    mailboxes: int
    oldest: float | None
    tally: Tally = field(default_factory=Tally)


class Cancelled(NamedTuple):
    """job: None where there is no such job. done: it was cancelled by this call or before."""

    job: Job | None
    done: bool


class Ledger(Protocol):
    """Where held operations live until they are settled. What it has answered, it keeps.

    A mailbox is due when it has something to do and its time has come. A lease makes it not due until the lease
    runs out. A mailbox whose head is dead and blocks is never due, but it is not empty.
    """

    async def gate(self, operations: Sequence[Operation]) -> list[Gate]:
        """Only keyed operations are looked up by id: another's id is new."""
        ...

    async def hold(self, holds: Sequence[Hold]) -> list[Job]:
        """Append each to its mailbox, due now, and return when that is durable; held already: change nothing.

        Raises Overloaded, with nothing held, when the whole batch does not fit the ledger.
        """
        ...

    async def lease(
        self, *, limit: int, depth: int, ttl: float, resources: Sequence[Resource] | None = None
    ) -> list[Lease]:
        """Lease due mailboxes, longest due first, or those of `resources` that are due.

        limit: most operations in all. depth: most operations of one mailbox; they are `running` from now.
        ttl: seconds.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[int]:
        """Record the verdicts and end the leases, in one step; return how many operations each has settled.

        Verdicts are held against the mailbox from its head on: Done, and Dead that does not block, take their
        operation off; Again and Dead that blocks leave it, and the next verdict is for the one behind it. The
        first verdict whose operation is not the one found there ends its settlement. Done is a fact, and counts from
        a late holder too while its operation is the head; its Again and Dead do not. A lease is ended only by its
        own token; what it leased and did not settle is `retrying` then. What ran under a lease that ran out is unsure.
        """
        ...

    async def due(self, *, limit: int) -> list[Resource]:
        """Mailboxes that are due, longest first."""
        ...

    async def waiting(self, resources: Sequence[Resource]) -> list[tuple[Operation, ...]]:
        """The operations that wait for each resource, oldest first."""
        ...

    async def last_waiting(self, resources: Sequence[Resource]) -> list[str | None]:
        """The id of the youngest operation that waits for each resource."""
        ...

    async def backlog(self, *, cursor: int) -> Backlog:
        """Which mailboxes have filled since; cursor 0 means all that are not empty.

        A page of them: go on from the answer's cursor until none has entered.
        """
        ...

    async def jobs(self, ids: Sequence[str]) -> list[Job | None]: ...

    async def list_jobs(self, *, state: State | None, cursor: str | None, limit: int) -> tuple[list[Job], str | None]:
        """A page of jobs, and the cursor of the next page if there may be one.

        Each job that does not change its state meanwhile comes exactly once. Raises ValueError for a bad cursor.
        """
        ...

    async def cancel(self, operation_id: str, *, withdrawn: bool = False) -> Cancelled:
        """Take an operation out of its mailbox if it has surely not been applied: not running, not unsure.

        withdrawn: the store has said that it never will be, so that unsure does not count.
        """
        ...

    async def retry(self, operation_id: str) -> Job | None:
        """Make a dead operation due again, its attempts forgotten; the job as it is then, None if unknown.

        One that blocks its mailbox is tried in its place; one that was passed goes to the end of the mailbox.
        """
        ...

    async def prune(self, *, limit: int) -> int:
        """Forget settled jobs older than the retention, dead ones never; return how many."""
        ...

    async def stats(self) -> LedgerStats: ...

    async def ping(self) -> None:
        """Return if the ledger can hold durably now."""
        ...

    async def close(self) -> None: ...


class Pool(NamedTuple):
    """Connections, as a port may tell of them by a method `pool`."""

    used: int
    idle: int
    most: int


class Cached(NamedTuple):
    """stored_at: when the record was known to be current."""

    record: Record
    stored_at: float


class Cache(Protocol):
    """The last known representation of records. May forget anything at any time."""

    async def put(self, records: Sequence[Record], *, now: float) -> None:
        """Keep each, tombstones included, unless a newer version is there; the same version renews `stored_at`."""
        ...

    async def get(self, resources: Sequence[Resource]) -> list[Cached | None]: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Replicas(Protocol):
    """Copies of the store that follow it, and may be behind. They are only read."""

    async def read(self, resources: Sequence[Resource]) -> list[Cached | None]:
        """What one of them has, tombstones included; None for what it has not, or not yet."""
        ...

    async def close(self) -> None: ...


# Tells the workers that these mailboxes may have work. May lose, double or delay it. Raises Transient or Rejected when
# it is known that nobody was told.
Ring = Callable[[Sequence[Resource]], Awaitable[None]]
