"""What the suites of the ledger share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from holdfast.operations.model import (
    Applied,
    Effect,
    Job,
    Kind,
    Operation,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
)
from holdfast.operations.ports import Again, Dead, Done, Hold, Lease, Ledger, Settlement, Verdict

E = TypeVar("E", bound=BaseException)

CAPACITY = 100
RETENTION = 3600.0
TTL = 30.0

NOTE = Resource("notes", "1")
OTHER = Resource("notes", "2")


@dataclass(frozen=True, slots=True)
class Subject:
    """The ledger under test: it is empty, holds CAPACITY operations and keeps settled jobs for RETENTION seconds.

    advance: lets so many seconds pass for the ledger. now: its time, seconds since the epoch.
    """

    ledger: Ledger
    advance: Callable[[float], object]
    now: Callable[[], float]

    async def held(self, *operations: Operation) -> list[Job]:
        return await self.ledger.hold([Hold(one) for one in operations])

    async def lease(self, *, limit: int = 1000, depth: int = 100, ttl: float = TTL) -> list[Lease]:
        return await self.ledger.lease(limit=limit, depth=depth, ttl=ttl)

    async def lease_one(self, *, depth: int = 100, ttl: float = TTL) -> Lease:
        """The only mailbox that is due."""
        (lease,) = await self.lease(depth=depth, ttl=ttl)
        return lease

    async def lease_of(self, resource: Resource) -> Lease:
        (lease,) = await self.ledger.lease(limit=1000, depth=100, ttl=TTL, resources=[resource])
        return lease

    async def settle(self, lease: Lease, *verdicts: Verdict, due_in: float = 0.0) -> int:
        (count,) = await self.ledger.settle([Settlement(lease, verdicts, due_in)])
        return count

    async def job(self, operation: Operation) -> Job:
        (job,) = await self.ledger.jobs([operation.id])
        assert job is not None
        return job

    async def kill(self, *operations: Operation, blocks: bool) -> None:
        """Hold these on an idle resource and settle each as dead."""
        await self.held(*operations)
        lease = await self.lease_one()
        await self.settle(lease, *(Dead(one.id, "a fault", blocks) for one in operations))


_numbers = count(1)


def operation(
    resource: Resource = NOTE, payload: dict[str, Any] | None = None, *, kind: Kind = Kind.REPLACE, keyed: bool = False
) -> Operation:
    """A new one, accepted a second after the one before."""
    number = next(_numbers)
    return Operation(
        id=f"00000000-0000-7000-8000-{number:012}",
        principal="someone",
        resource=resource,
        kind=kind,
        payload={"n": number} if payload is None and kind is not Kind.DELETE else payload,
        fingerprint=f"{number:032x}",
        accepted_at=1_700_000_000.0 + number,
        keyed=keyed,
    )


def operations(number: int, resource: Resource = NOTE) -> list[Operation]:
    return [operation(resource) for _ in range(number)]


def on_resources(number: int) -> list[Operation]:
    """One on each of so many resources."""
    return [operation(Resource("many", f"{n:04}")) for n in range(number)]


def done(one: Operation) -> Done:
    """It took effect."""
    record = Record(one.resource, 1, one.payload, one.accepted_at, one.accepted_at)
    return Done(one.id, Applied(Effect.CREATED, record))


def refused(one: Operation) -> Done:
    return Done(one.id, Refused(Problem(ProblemType.NOT_FOUND, "there is none")))


def again(one: Operation, error: str | None = None, *, counts: bool = False, unsure: bool = False) -> Again:
    return Again(one.id, error, counts, unsure)


def ids(found: Sequence[Operation] | Sequence[Job]) -> list[str]:
    return [one.operation.id if isinstance(one, Job) else one.id for one in found]


def resources(leases: Sequence[Lease]) -> list[Resource]:
    return [lease.resource for lease in leases]


async def raised(kind: type[E], call: Awaitable[object]) -> E:
    """The error of this kind that the call must raise."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
