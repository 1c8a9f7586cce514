"""The ledger in Redis: each call of the port is one atomic script on the server."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from holdfast.clock import Clock
from holdfast.errors import HoldfastError, OutcomeUnknown, Overloaded, Unavailable
from holdfast.events import Event, Listener, emit
from holdfast.operations.model import Job, Operation, Resource, State
from holdfast.operations.ports import Backlog, Cancelled, Gate, Hold, Lease, LedgerStats, Pool, Settlement
from holdfast.operations.tally import LIMITS

from ..codec import decode_operation, parse_resource, resource_text
from ..redis_server import Argument, RedisServer
from . import replies, requests, scripts
from .durability import verify
from .options import RedisLedgerOptions

log = logging.getLogger(__name__)

# How much one script does, so that no other call waits for long.
_MOST_MOVED = 32
_MOST_WAITING = 1_000
_PRUNE_PAGE = 1_000

# Bytes of payload in one answer: whoever asked has to hold all of it at once.
_HEAVIEST = 4_194_304

_LIMITS = " ".join(map(str, LIMITS))


class RedisLedger:
    """Any number of processes share one; the server's clock is the clock of all.

    clock:    used instead of the server's, for tests.
    listener: is told of `ledger.lost`, once, when the server was emptied or came back without its data.
    """

    def __init__(
        self,
        options: RedisLedgerOptions,
        *,
        clock: Clock | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._listener = listener
        self._server = RedisServer(options, name="holdfast-ledger", on_connect=self._doubt_durability)
        self._scripts = {name: scripts.load(name) for name in scripts.NAMES}
        self._identity: bytes | None = None
        self._durable = False

    async def gate(self, operations: Sequence[Operation]) -> list[Gate]:
        return [replies.gate(reply) for reply in await self._run("gate", requests.gates(operations))]

    async def hold(self, holds: Sequence[Hold]) -> list[Job]:
        options = self._options
        if not self._durable:
            await self._verify_durability()
        reply = await self._run("hold", (_candidate(), options.max_waiting), requests.holds(holds))
        if not self._durable:
            await self._verify_after_the_fact()
        if isinstance(reply, int):
            raise Overloaded(f"the ledger is full: {reply} of {options.max_waiting} operations", options.retry_after)
        return [replies.held_job(hold, item) for hold, item in zip(holds, reply, strict=True)]

    async def lease(
        self, *, limit: int, depth: int, ttl: float, resources: Sequence[Resource] | None = None
    ) -> list[Lease]:
        """In small steps, each atomic. Ends with what they have taken when that weighs enough, when half of the time
        for a call is over (so that as many steps can settle it in time), or when one fails after others have not.
        """
        leases: list[Lease] = []
        room, until = _HEAVIEST, time.monotonic() + self._options.timeout / 2
        parts = [()] if resources is None else requests.names(resources, _MOST_MOVED)
        while parts and limit > 0 and room > 0 and time.monotonic() < until:
            try:
                found, weight, more = await self._lease(parts[0], limit, depth, ttl, room)
            except HoldfastError:
                if leases:
                    break
                raise
            leases += found
            limit, room = limit - sum(len(lease.jobs) for lease in found), room - weight
            parts = parts if more else parts[1:]
        return leases

    async def _lease(
        self, names: Sequence[bytes], limit: int, depth: int, ttl: float, room: int
    ) -> tuple[list[Lease], int, bool]:
        """The leases of one step, their bytes, and whether there may be more to lease."""
        token = secrets.token_hex(8)
        first = (token, limit, depth, requests.milliseconds(ttl), _MOST_MOVED, room)
        taken, missing, weight, more = await self._run("lease", first, names)
        replies.report(missing)
        return list(replies.leases(token, taken)), weight, bool(more)

    async def settle(self, settlements: Sequence[Settlement]) -> list[int]:
        """In small steps, each atomic."""
        counts: list[int] = []
        for part in requests.parted(settlements, _MOST_MOVED):
            counts += await self._run("settle", (self._retention, _LIMITS), requests.settlements(part))
        return counts

    async def due(self, *, limit: int) -> list[Resource]:
        return [parse_resource(text) for text in await self._run("due", [limit])]

    async def waiting(self, resources: Sequence[Resource]) -> list[tuple[Operation, ...]]:
        """Raises Overloaded rather than read thousands, or many MiB, in one step."""
        found = await self._run("waiting", (_MOST_WAITING, _HEAVIEST), map(resource_text, resources))
        if isinstance(found, int):
            raise Overloaded(f"{found} operations wait, more than are shown at once", self._options.retry_after)
        return [tuple(decode_operation(*operation) for operation in operations) for operations in found]

    async def last_waiting(self, resources: Sequence[Resource]) -> list[str | None]:
        ids = await self._run("last_waiting", map(resource_text, resources))
        return [None if id_ is None else id_.decode() for id_ in ids]

    async def backlog(self, *, cursor: int) -> Backlog:
        """At most `backlog_page` at a time: the rest comes with the cursor that is answered."""
        page = self._options.backlog_page
        entered, after, size = await self._run("backlog", (cursor, page))
        return Backlog([parse_resource(text) for text in entered], int(after), size)

    async def jobs(self, ids: Sequence[str]) -> list[Job | None]:
        return [replies.job_or_none(reply) for reply in await self._run("jobs", ids)]

    async def list_jobs(self, *, state: State | None, cursor: str | None, limit: int) -> tuple[list[Job], str | None]:
        states = [state] if state else list(State)
        found, after = await self._run("list", [requests.cursor(cursor), limit], states)
        return list(map(replies.job, found)), after.decode() or None

    async def cancel(self, operation_id: str, *, withdrawn: bool = False) -> Cancelled:
        words: list[str | int] = [self._retention, operation_id, "1" if withdrawn else ""]
        job = replies.job_or_none(await self._run("cancel", words))
        return Cancelled(job, done=job is not None and job.state is State.CANCELLED)

    async def retry(self, operation_id: str) -> Job | None:
        return replies.job_or_none(await self._run("retry", [operation_id]))

    async def prune(self, *, limit: int) -> int:
        pruned = 0
        while pruned < limit:
            page = min(limit - pruned, _PRUNE_PAGE)
            count = await self._run("prune", [requests.milliseconds(self._options.retention), page])
            pruned += count
            if count < page:
                break
        return pruned

    async def stats(self) -> LedgerStats:
        return replies.stats(await self._run("stats"))

    async def ping(self) -> None:
        """Return if the server takes writes and keeps them. One that is full still settles, and passes."""
        await self._verify_durability()
        await self._run("ping", [_candidate()])

    def pool(self) -> Pool:
        return self._server.pool()

    async def close(self) -> None:
        await self._server.close()

    @property
    def _retention(self) -> int:
        return round(self._options.retention)

    async def _run(self, name: str, *arguments: Iterable[Argument]) -> Any:
        now = "" if self._clock is None else requests.milliseconds(self._clock.time())
        prefix = self._options.prefix
        identity, answer = await self._server.run(self._scripts[name], 1, prefix, now, *chain.from_iterable(arguments))
        if identity != self._identity:
            self._identify(identity)
        return answer

    def _identify(self, identity: bytes | None) -> None:
        known, self._identity = self._identity, identity
        if known is None:
            return
        log.error("%s has lost the ledger %s and all that it held", self._server.where, known.decode())
        emit(self._listener, Event("ledger.lost", "ledger", {"identity": known.decode()}))

    def _doubt_durability(self) -> None:
        """A new connection may lead to another server than the one that was verified."""
        self._durable = False

    async def _verify_durability(self) -> None:
        if self._options.durability == "verify":
            await verify(self._server)
        self._durable = True

    async def _verify_after_the_fact(self) -> None:
        """The step may have made a new connection, to another server or to one that was configured anew meanwhile."""
        try:
            await self._verify_durability()
        except Unavailable as error:
            raise OutcomeUnknown(f"held, but perhaps not for long: {error}") from error


def _candidate() -> str:
    """An identity for a ledger that has none; never the same, or one that was emptied could get its old one again."""
    return secrets.token_hex(8)
