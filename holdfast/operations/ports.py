"""What the engine needs of the outside: the protocols that every adapter implements.

Each call takes a batch, is one round trip for all of its items, and answers them in their order. When the other side
fails, the whole batch raises: `Unavailable` if the call was not attempted, `OutcomeUnknown` if it may have happened.
Making an adapter connects to nothing, so that a process can start while its servers are down. An adapter belongs to
one event loop.
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
        """Apply each operation at most once, ever. Operations on one resource apply in their given order.

        An operation's id and outcome are stored in the same transaction as its effect. If the id is stored already,
        nothing changes: the answer is the stored outcome, `replayed`, or Refused(KEY_REUSED) if the fingerprint is
        another. A Refused outcome is stored too if the operation can come again (keyed or held).

        One bad operation costs no other its outcome: it alone is Refused(UNSTORABLE) if the store does not take its
        data, and a Fault for any other trouble of its own. Only what follows a Fault on the same resource is not
        tried, to keep the order, and is a Fault as well.
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
    """What the ledger says of an operation that is about to be applied.

    job:     its job if it is held already, else None.
    waiting: whether other operations wait for its resource.
    """

    job: Job | None
    waiting: bool


class Hold(NamedTuple):
    """An operation to be held. unsure: it, or an earlier request with its key, may have taken effect already."""

    operation: Operation
    unsure: bool = False


class Lease(NamedTuple):
    """The right of one holder, for a limited time, to replay the operations at the head of one mailbox.

    token: tells this lease from every other.
    jobs:  of these operations, oldest first, at least one.
    """

    resource: Resource
    token: str
    jobs: tuple[Job, ...]


class Done(NamedTuple):
    """The operation has its final outcome: the job has succeeded if that is Applied, and failed if Refused."""

    operation_id: str
    outcome: Outcome


class Dead(NamedTuple):
    """The operation has failed too often. blocks: the ones behind it wait until somebody retries it."""

    operation_id: str
    error: str
    blocks: bool


class Again(NamedTuple):
    """The operation was not settled and stays at its place.

    error:  what to show as the job's last error; None leaves that as it is.
    counts: it failed by its own fault, which uses up an attempt; an outage does not.
    unsure: it may have taken effect all the same.
    """

    operation_id: str
    error: str | None = None
    counts: bool = False
    unsure: bool = False


Verdict = Done | Dead | Again


class Settlement(NamedTuple):
    """What became of the operations of a lease, oldest first, and in how many seconds the mailbox is due again.

    There may be fewer verdicts than operations: those without one were not tried.
    """

    lease: Lease
    verdicts: tuple[Verdict, ...]
    due_in: float = 0.0


class Backlog(NamedTuple):
    """A page of the resources that have a backlog.

    entered: those whose mailbox has filled since the cursor was given out that was asked with.
    cursor:  to ask with the next time.
    size:    how many mailboxes are not empty, in all.
    """

    entered: list[Resource]
    cursor: int
    size: int


@dataclass(frozen=True, slots=True)
class LedgerStats:
    """The ledger in numbers, as of one moment.

    waiting:   operations that are not settled.
    dead:      operations that failed too often.
    mailboxes: those that are not empty.
    oldest:    when the oldest of the waiting operations was accepted, seconds since the epoch; None if none waits.
    tally:     what has become of all operations that were ever held.
    """

    waiting: int
    dead: int
    mailboxes: int
    oldest: float | None
    tally: Tally = field(default_factory=Tally)


class Cancelled(NamedTuple):
    """The answer to a request to cancel.

    job:  as it is now, None if there is none of that id.
    done: whether it is cancelled, by this call or before.
    """

    job: Job | None
    done: bool


class Ledger(Protocol):
    """Where held operations live until they are settled. What it has answered, it keeps.

    A mailbox is due when it has something to do and its time has come. A lease makes it not due until the lease
    runs out. A mailbox whose head is dead and blocks is never due, but it is not empty.
    """

    async def gate(self, operations: Sequence[Operation]) -> list[Gate]:
        """Say of each operation whether it is held already, and whether others wait for its resource.

        Only keyed operations are looked up by their id: the id of any other is new.
        """
        ...

    async def hold(self, holds: Sequence[Hold]) -> list[Job]:
        """Append each operation to its mailbox, due now; return their jobs once all of it is durable.

        One that is held already is not held again: its job is the answer. Raises Overloaded, with nothing held, when
        the whole batch does not fit the ledger.
        """
        ...

    async def lease(
        self, *, limit: int, depth: int, ttl: float, resources: Sequence[Resource] | None = None
    ) -> list[Lease]:
        """Lease due mailboxes, longest due first, or those of `resources` that are due; perhaps not all of them:
        a ledger may stop where what it has taken is much to move at once, but not before it has one operation.

        limit: most operations in all. depth: most operations of one mailbox.
        ttl:   seconds, after which somebody else may lease the mailbox.

        The leased operations are `running` from now on. Where an earlier lease has run out, those that it left
        `running` may have taken effect, and become unsure.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[int]:
        """Record the verdicts and end the leases; return how many operations each settlement has settled.

        Each settlement is one atomic step; when the call fails, some may have been taken. To repeat it is safe.

        The verdicts of a settlement go through the mailbox from its head. Done, and Dead that does not block, take
        their operation out of it. Again, and Dead that blocks, leave theirs in its place. A verdict for another
        operation than the one that is found in its turn ends the settlement: it and those behind it are ignored.

        A holder whose lease has gone to another may still settle with Done, since what the store has recorded is a
        fact, but not with Again or Dead. Only the lease's own token ends it; what it held and did not settle is then
        `retrying`.
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
        """The mailboxes that have filled since `cursor` was given out; 0 asks for all that are not empty.

        They come by the page: ask on with the answer's cursor until `entered` is empty.
        """
        ...

    async def jobs(self, ids: Sequence[str]) -> list[Job | None]: ...

    async def list_jobs(self, *, state: State | None, cursor: str | None, limit: int) -> tuple[list[Job], str | None]:
        """A page of jobs, and the cursor of the next page if there may be one.

        Each job that does not change its state meanwhile comes exactly once. Raises ValueError for a bad cursor.
        """
        ...

    async def cancel(self, operation_id: str, *, withdrawn: bool = False) -> Cancelled:
        """Take an operation out of its mailbox if it has surely not been applied: it is not running and not unsure.

        withdrawn: the store has recorded that it never will apply it, so that an unsure one may go too.
        """
        ...

    async def retry(self, operation_id: str) -> Job | None:
        """Make a dead operation due again, with all its attempts; return the job as it is then, None if unknown.

        One that blocks its mailbox stays at its place; one that others have passed goes to the end of the mailbox.
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
    """The connections of a port that has some: what its method `pool` returns."""

    used: int
    idle: int
    most: int


class Cached(NamedTuple):
    """A record that may be out of date. stored_at: when it was known to be current, seconds since the epoch."""

    record: Record
    stored_at: float


class Cache(Protocol):
    """The last known representation of records. May forget anything at any time."""

    async def put(self, records: Sequence[Record], *, now: float) -> None:
        """Keep each record, tombstones included, as current at `now`, unless the cache has a newer version."""
        ...

    async def get(self, resources: Sequence[Resource]) -> list[Cached | None]: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Replicas(Protocol):
    """Copies of the store that follow it, and may be behind. They are only read."""

    async def read(self, resources: Sequence[Resource]) -> list[Cached | None]:
        """The records as one replica has them, tombstones included; None for those that it does not have (yet)."""
        ...

    async def close(self) -> None: ...


# Tells the workers that these mailboxes may have work. The message may be lost, doubled or late without harm. Raises
# Transient or Rejected when it is known that nobody was told.
Ring = Callable[[Sequence[Resource]], Awaitable[None]]
