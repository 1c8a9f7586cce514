"""Which endpoints belong to a pool, and what stays known of them when they change.

All of it runs under the pool's lock. It returns the events that it causes: the pool tells them once the lock is free.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count

from ...breaker import CircuitBreaker, Verdict
from ...clock import Clock
from ...events import Event
from ..attempts import note
from ..errors import Invalid, NotFound
from .choice import may_return, should_eject
from .endpoint import Endpoint
from .health import CheckResult, HealthCheck, HealthStatus
from .journal import Journal
from .member import Member
from .options import PoolOptions


class Roster:
    """The members of one pool, by id, in the order they were registered."""

    def __init__(
        self, pool: str, options: PoolOptions, classify: Callable[[Exception], Verdict], clock: Clock, journal: Journal
    ) -> None:
        self.members: dict[str, Member] = {}
        self.options = options
        self._pool = pool
        self._classify = classify
        self._clock = clock
        self._journal = journal
        self._numbers = count()

    def get(self, endpoint_id: str) -> Member:
        member = self.members.get(endpoint_id)
        if member is None:
            raise NotFound(f"pool {self._pool!r} has no endpoint {endpoint_id!r}")
        return member

    def configure(self, options: PoolOptions) -> None:
        before, self.options = self.options, options
        for member in self.members.values():
            member.half_life = options.half_life
            if before.breaker != options.breaker:
                member.breaker = self._breaker(member.endpoint)

    def add(self, endpoint: Endpoint, source: str) -> list[Event]:
        if endpoint.id in self.members:
            raise Invalid(f"pool {self._pool!r} has an endpoint {endpoint.id!r} already")
        self._make(endpoint, source)
        return [self._event("endpoint.registered", endpoint, url=endpoint.url, source=source)]

    def replace(self, endpoint: Endpoint) -> list[Event]:
        member = self.get(endpoint.id)
        if member.endpoint == endpoint:
            return []
        updated = self._event("endpoint.updated", endpoint, url=endpoint.url)
        if moved(member.endpoint, endpoint):
            self._make(endpoint, member.source)
            return [updated]
        before = member.status
        member.describe(endpoint)
        return [updated, *self._status_change(member, before, "reported")]

    def remove(self, endpoint_id: str) -> list[Event]:
        member = self.get(endpoint_id)
        del self.members[endpoint_id]
        return [self._event("endpoint.deregistered", member.endpoint)]

    def sync(self, endpoints: Collection[Endpoint], source: str) -> list[Event]:
        """Make the endpoints of this source exactly these; an id that another source has stays with that one."""
        events: list[Event] = []
        wanted = {endpoint.id: endpoint for endpoint in endpoints}
        own = {name for name, member in self.members.items() if member.source == source}
        for gone in sorted(own - wanted.keys()):
            events += self.remove(gone)
        for name, endpoint in wanted.items():
            if name in own:
                events += self.replace(endpoint)
            elif name not in self.members:
                events += self.add(endpoint, source)
        return events

    def checked(self, endpoint: Endpoint, check: HealthCheck, result: CheckResult) -> list[Event]:
        """Take in what a check found, unless the endpoint has gone or moved since it began."""
        member = self.members.get(endpoint.id)
        if member is None or moved(member.endpoint, endpoint):
            return []
        before = member.status
        member.checked(result, check)
        return self._status_change(member, before, result.detail)

    def failed(self, member: Member, error: Exception) -> list[Event]:
        """Take in that a call failed, and eject the member if that was one too many."""
        member.last_error = described = note(error, self._clock.time())
        what = {"kind": described.kind.value, "error.type": described.type}
        event = self._event("endpoint.call_failed", member.endpoint, **what)
        outliers = self.options.outliers
        if outliers is None or not should_eject(member, self.members.values(), outliers):
            return [event]
        member.eject(outliers)
        return [event, self._event("endpoint.ejected", member.endpoint, seconds=member.ejection.duration)]

    def restore(self) -> list[Event]:
        """Take back those whose ejection is over."""
        returning = may_return(self.members.values(), self._clock.monotonic())
        for member in returning:
            member.restore()
        return [self._event("endpoint.restored", member.endpoint) for member in returning]

    def _make(self, endpoint: Endpoint, source: str) -> None:
        member = Member(endpoint, next(self._numbers), source, self._clock)
        member.half_life = self.options.half_life
        member.breaker = self._breaker(endpoint)
        self.members[endpoint.id] = member

    def _status_change(self, member: Member, before: HealthStatus, detail: str) -> list[Event]:
        now = member.status
        if now is before:
            return []
        changed = {"from": before.value, "to": now.value, "detail": detail}
        return [self._event("endpoint.status_changed", member.endpoint, **changed)]

    def _breaker(self, endpoint: Endpoint) -> CircuitBreaker | None:
        options = self.options.breaker
        if options is None:
            return None
        name = f"{self._pool}/{endpoint.id}"
        return CircuitBreaker(name, options, classify=self._classify, clock=self._clock, listener=self._journal.tell)

    def _event(self, name: str, endpoint: Endpoint, **attributes: str | float) -> Event:
        return Event(name, self._pool, {"endpoint": endpoint.id, **attributes})


def moved(old: Endpoint, new: Endpoint) -> bool:
    """Whether it is to be reached somewhere else."""
    return (old.protocol, old.address, old.port) != (new.protocol, new.address, new.port)
