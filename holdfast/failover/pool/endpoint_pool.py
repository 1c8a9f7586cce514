"""Failover among endpoints: the places where one service can be reached, chosen by a balancer.

    pool = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200), Endpoint("b", "10.0.0.2", 9200)])
    execution = await pool.aexecute_with_failover(search)      # search(endpoint), on one or the other

Endpoints come and go by hand or from a discovery source, are checked by a HealthMonitor, and are taken out for a
while when the calls given to them fail.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Final, TypeVar

from ...breaker import Permit, Verdict, classify
from ...clock import Clock, system_clock
from ...errors import CircuitOpen, OutcomeUnknown
from ...events import Event, Listener
from ...joining import cancelled_by_caller
from ...policy import matcher
from ...timeout import Timeout
from ..errors import FailOverOn, NoCandidate, unless_permanent, verdict_on
from ..hooks import safely
from ..tally import Counts
from .balancing import Balancer, Caller, balancer
from .choice import eligible
from .endpoint import Endpoint
from .health import CheckResult, HealthCheck, HealthStatus
from .journal import Entry, Journal
from .lease import Lease, PoolExecution
from .member import Member
from .options import PoolOptions
from .roster import Roster
from .run import PoolRun
from .stats import PoolStats, endpoint_stats

T = TypeVar("T")

ANYONE: Final = Caller()


class EndpointPool:
    """The endpoints of one service.

    strategy:     the name of a balancer (see `balancing.STRATEGIES`), or one; it must serve no other pool.
    fail_over_on: which errors are worth asking another endpoint; others are raised as they are.
    classify:     which errors speak against an endpoint; refusals and definite answers do not, if not given.
    listener:     told `endpoint.registered`, `.updated`, `.deregistered`, `.status_changed`, `.ejected`, `.restored`,
                  `.call_failed`, `pool.configured`, and what the endpoints' breakers tell.
    log_size:     events that are remembered, at least 0.

    Shared freely by threads and event loops. No lock is held while a call runs.

    >>> pool = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200), Endpoint("b", "10.0.0.2", 9200)])
    >>> execution = pool.execute_with_failover(lambda endpoint: f"asked {endpoint.url}")
    >>> execution.result, execution.attempts
    ('asked http://10.0.0.1:9200', 1)
    >>> pool.select(ANYONE).id
    'b'
    """

    def __init__(
        self,
        name: str,
        endpoints: Iterable[Endpoint] = (),
        *,
        strategy: str | Balancer = "round_robin",
        options: PoolOptions | None = None,
        fail_over_on: FailOverOn = unless_permanent,
        classify: Callable[[Exception], Verdict] = classify,
        clock: Clock = system_clock,
        listener: Listener | None = None,
        log_size: int = 1_000,
    ) -> None:
        self.name = name
        self.clock = clock
        self._fail_over_on = matcher(fail_over_on)
        self._balancer = _balancer(strategy)
        self._classify = classify
        self._journal = Journal(log_size, clock, listener)
        self._lock = threading.Lock()
        self._roster = Roster(name, options or PoolOptions(), classify, clock, self._journal)
        for endpoint in endpoints:
            self.register(endpoint)

    @property
    def options(self) -> PoolOptions:
        return self._roster.options

    def configure(self, *, options: PoolOptions | None = None, strategy: str | Balancer | None = None) -> None:
        """Change what is given, from the next call on; what is known of the endpoints stays."""
        chosen = None if strategy is None else _balancer(strategy)
        with self._lock:
            self._roster.configure(options or self.options)
            if chosen is not None:
                self._balancer = chosen
                for member in self._roster.members.values():
                    member.credit = 0.0
        self._journal.tell(Event("pool.configured", self.name, {"strategy": type(self._balancer).__name__}))

    def register(self, endpoint: Endpoint, *, source: str = "") -> None:
        """Add an endpoint, on behalf of a discovery source if one is named; Invalid if its id is taken."""
        with self._lock:
            events = self._roster.add(endpoint, source)
        self._journal.tell(*events)

    def update(self, endpoint: Endpoint) -> None:
        """Put it in the place of the one of its id; NotFound if there is none.

        What is known of it stays, unless it is to be reached somewhere else now.
        """
        with self._lock:
            events = self._roster.replace(endpoint)
        self._journal.tell(*events)

    def deregister(self, endpoint_id: str) -> None:
        """Ask it no more; calls under way go on. NotFound if there is none."""
        with self._lock:
            events = self._roster.remove(endpoint_id)
        self._journal.tell(*events)

    def sync(self, endpoints: Collection[Endpoint], *, source: str) -> None:
        """Make the endpoints of this source exactly these; those of others, or registered by hand, stay."""
        with self._lock:
            events = self._roster.sync(endpoints, source)
        self._journal.tell(*events)

    def get(self, endpoint_id: str) -> Endpoint:
        """NotFound if there is none."""
        with self._lock:
            return self._roster.get(endpoint_id).endpoint

    def list(self, *tags: str) -> tuple[Endpoint, ...]:
        """All of them, or those that have all of these tags, in the order they were registered."""
        with self._lock:
            endpoints = [member.endpoint for member in self._roster.members.values()]
        return tuple(endpoint for endpoint in endpoints if endpoint.tags.issuperset(tags))

    def select(self, caller: Caller = ANYONE) -> Endpoint:
        """The endpoint whose turn it is; NoCandidate if none can be asked. `lease` also watches the call."""
        return self._choose(caller, set(), calls=0).endpoint

    def lease(self, caller: Caller = ANYONE) -> Lease:
        """Permission to make one call to the endpoint whose turn it is; NoCandidate if none can be asked.

        >>> pool = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200)])
        >>> with pool.lease() as lease:
        ...     lease.endpoint.url
        'http://10.0.0.1:9200'
        """
        return self._lease(caller, set())

    def execute_with_failover(self, fn: Callable[[Endpoint], T], caller: Caller = ANYONE) -> PoolExecution[T]:
        """Call `fn` on one endpoint after the other until it succeeds.

        Raises AllEndpointsFailed with every error when the attempts are used up, NoCandidate when there was nobody
        to ask, and as it is what is not to be failed over. The attempts' timeout is a deadline for calls within.
        """
        run = self._run(caller)
        while True:
            lease = run.lease()
            try:
                result = self._call(fn, lease.endpoint)
            except Exception as error:  # noqa: BLE001 - the run says what becomes of it
                delay = run.failed(lease, error)
            except BaseException:
                lease.release()
                raise
            else:
                return run.done(lease, result)
            self.clock.pause(delay)

    async def aexecute_with_failover(
        self, fn: Callable[[Endpoint], Awaitable[T]], caller: Caller = ANYONE
    ) -> PoolExecution[T]:
        """Await `fn` on one endpoint after the other until it succeeds; raises what the sync one does.

        Cancelled, it leaves no call behind, and the call counts as nothing.
        """
        run = self._run(caller)
        while True:
            lease = run.lease()
            try:
                result = await self._acall(fn, lease.endpoint)
            except Exception as error:  # noqa: BLE001 - the run says what becomes of it
                delay = run.failed(lease, error)
            except BaseException:
                lease.release()
                raise
            else:
                return run.done(lease, result)
            if delay:
                await self.clock.sleep(delay)

    def checks(self) -> tuple[tuple[Endpoint, HealthCheck], ...]:
        """Every endpoint that is to be checked, and how."""
        pairs = ((endpoint, endpoint.health_check or self.options.health_check) for endpoint in self.list())
        return tuple((endpoint, check) for endpoint, check in pairs if check is not None)

    def report(self, endpoint: Endpoint, check: HealthCheck, result: CheckResult) -> None:
        """Take in what a check found; ignored if the endpoint has gone or moved since."""
        with self._lock:
            events = self._roster.checked(endpoint, check, result)
        self._journal.tell(*events)

    def status(self, endpoint_id: str) -> HealthStatus:
        """NotFound if there is no such endpoint."""
        with self._lock:
            return self._roster.get(endpoint_id).status

    def stats(self) -> PoolStats:
        """The last 24 hours, and how things are now."""
        now = self.clock.monotonic()
        with self._lock:
            events = self._roster.restore()
            members = self._roster.members
            stats = PoolStats.of(self.name, {name: endpoint_stats(member, now) for name, member in members.items()})
        self._journal.tell(*events)
        return stats

    def events(self, limit: int = 100) -> tuple[Entry, ...]:
        """What happened lately, newest first."""
        return tuple(self._journal.read(limit))

    def _run(self, caller: Caller) -> PoolRun:
        return PoolRun(self.name, partial(self._lease, caller), self.options, self._fail_over_on, self.clock)

    def _lease(self, caller: Caller, tried: set[int]) -> Lease:
        """Lease an endpoint whose number is not in `tried`, and add it there."""
        while True:
            member = self._choose(caller, tried, calls=1)
            tried.add(member.number)
            try:
                permit = member.breaker.acquire() if member.breaker is not None else None
            except CircuitOpen:
                # Its probes are taken, by others of the same moment.
                self._give_back(member)
                continue
            return Lease(member.endpoint, partial(self._end, member, permit, self.clock.monotonic()))

    def _choose(self, caller: Caller, tried: set[int], *, calls: int) -> Member:
        """The member whose turn it is; `calls` are added to those that it has in flight."""
        with self._lock:
            events = self._roster.restore()
            candidates = eligible(self._roster.members.values(), caller, tried, self.options.panic_threshold)
            chosen = self._balancer(candidates, caller) if candidates else None
            if isinstance(chosen, Member):
                chosen.in_flight += calls
        self._journal.tell(*events)
        if chosen is None:
            raise NoCandidate(f"no endpoint of {self.name!r} can be asked now")
        if not isinstance(chosen, Member):
            raise TypeError(f"the balancer of {self.name!r} must return one of its candidates, got {chosen!r}")
        return chosen

    def _call(self, fn: Callable[[Endpoint], T], endpoint: Endpoint) -> T:
        if self.options.timeout == math.inf:
            return fn(endpoint)
        return Timeout(self.options.timeout, clock=self.clock).call(fn, endpoint)

    async def _acall(self, fn: Callable[[Endpoint], Awaitable[T]], endpoint: Endpoint) -> T:
        try:
            if self.options.timeout == math.inf:
                return await fn(endpoint)
            return await Timeout(self.options.timeout, clock=self.clock).acall(fn, endpoint)
        except asyncio.CancelledError as error:
            if cancelled_by_caller():
                raise
            raise OutcomeUnknown("it was cancelled from within") from error

    def _give_back(self, member: Member) -> None:
        with self._lock:
            member.in_flight -= 1

    def _end(self, member: Member, permit: Permit | None, began: float, made: bool, error: Exception | None) -> None:
        self._give_back(member)
        if made:
            # Nothing of this may change what the call has come to.
            safely(self._judge)(member, permit, self.clock.monotonic() - began, error)
        elif permit is not None:
            permit.release()

    def _judge(self, member: Member, permit: Permit | None, duration: float, error: Exception | None) -> None:
        verdict = Verdict.SUCCESS if error is None else verdict_on(error, self._classify)
        if permit is not None:
            _settle(permit, verdict, error)
        failed = error is not None
        with self._lock:
            member.counts.add(self.clock.monotonic(), Counts(not failed, failed, seconds=duration))
            if verdict is not Verdict.IGNORE:
                member.learn(duration, failed=verdict is Verdict.FAILURE)
            events = [] if error is None else self._roster.failed(member, error)
        self._journal.tell(*events)


def _settle(permit: Permit, verdict: Verdict, error: Exception | None) -> None:
    if verdict is Verdict.SUCCESS:
        permit.success()
    elif verdict is Verdict.FAILURE:
        permit.failure(error)
    else:
        permit.release()


def _balancer(strategy: str | Balancer) -> Balancer:
    return balancer(strategy) if isinstance(strategy, str) else strategy
