"""The engine's parts with one of its safeguards taken out each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from adapters.memory_cache import MemoryCache
from adapters.memory_ledger import MemoryLedger
from adapters.memory_store import MemoryStore
from holdfast.errors import HoldfastError
from holdfast.operations.model import Job, Operation, Record, Resource, Result, State
from holdfast.operations.ports import Gate, Hold, Lease, Ledger, Settlement

from .engine import World
from .parts import Parts


class ForgetfulStore(MemoryStore):
    """No operation id is unique: every try is the first one."""

    async def apply(self, operations: Sequence[Operation]) -> list[Result]:
        self._known.clear()
        return await super().apply(operations)


class OpenLedger(MemoryLedger):
    """The gate is always open."""

    async def gate(self, operations: Sequence[Operation]) -> list[Gate]:
        return [Gate(None, waiting=False) for _ in operations]


class BlindLedger(MemoryLedger):
    """Settling looks at no id: whatever is the head is taken for what was meant."""

    def _settle(self, settlement: Settlement) -> int:
        mailbox = self._mailboxes.get(settlement.lease.resource)
        heads = [entry.operation.id for entry in mailbox.entries] if mailbox else []
        verdicts = [
            verdict._replace(operation_id=id_) for verdict, id_ in zip(settlement.verdicts, heads, strict=False)
        ]
        return super()._settle(settlement._replace(verdicts=tuple(verdicts)))


class FreeLedger(MemoryLedger):
    """A lease keeps nobody out, and nothing is running."""

    def _lease(self, resource: Resource, depth: int, ttl: float) -> Lease:
        waiting = takewhile(lambda entry: not entry.state.settled, self._mailboxes[resource].entries[:depth])
        return Lease(resource, "nobody's", tuple(self._job_of(entry) for entry in waiting))


class EternalLedger(MemoryLedger):
    """A lease never runs out, though its holder may have died."""

    def _lease(self, resource: Resource, depth: int, ttl: float) -> Lease:
        return super()._lease(resource, depth, 1e9)


class CarelessCache(MemoryCache):
    """What comes last stays, however old it is."""

    async def put(self, records: Sequence[Record], *, now: float) -> None:
        for record in records:
            self._cached.pop(record.resource, None)
        await super().put(records, now=now)


class _Promising:
    """A ledger that says that it holds before it does."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._holding: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def hold(self, holds: Sequence[Hold]) -> list[Job]:
        task = asyncio.ensure_future(self._hold(holds))
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)
        return [Job(hold.operation, State.QUEUED) for hold in holds]

    async def _hold(self, holds: Sequence[Hold]) -> None:
        try:
            await self._ledger.hold(holds)
        except HoldfastError:
            return


def _promise(world: World) -> None:
    world.writer._ledger = _Promising(world.ledger.port)  # type: ignore[assignment]


# What is taken out, what is there instead, and the rules that the checker must find broken, any one of them.
FLAWS: dict[str, tuple[Parts, set[str]]] = {
    "the operation id's uniqueness": (Parts(store=lambda clock: ForgetfulStore(clock=clock)), {"twice"}),
    "the gate": (Parts(ledger=lambda clock: OpenLedger(clock=clock)), {"order"}),
    "the compare at settle": (Parts(ledger=lambda clock: BlindLedger(clock=clock)), {"claim", "lost", "twice"}),
    "the sweeper": (Parts(sweeps=False), {"unsettled"}),
    "the lease": (Parts(ledger=lambda clock: FreeLedger(clock=clock)), {"refused"}),
    "the end of a lease": (Parts(ledger=lambda clock: EternalLedger(clock=clock)), {"unsettled"}),
    "the cache's version check": (Parts(cache=CarelessCache), {"cache"}),
    "202 only when it is durable": (Parts(prepare=_promise), {"forgotten"}),
}
