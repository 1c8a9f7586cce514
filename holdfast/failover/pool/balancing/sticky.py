"""One session, one endpoint, for as long as both last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ....checks import require
from ....clock import Clock, system_clock
from .candidate import Balancer, Caller, Candidate


class Sticky:
    """Sends a session where it went before. When that endpoint cannot be asked, another one takes it over for good.

    balancer: chooses for new sessions, and for callers without one.
    sessions: most that are remembered, at least 1; the one unused for longest is forgotten first.
    ttl:      seconds, more than 0, after which an unused session is forgotten.

    >>> from holdfast.failover import Endpoint, EndpointPool, RoundRobin
    >>> endpoints = [Endpoint("a", "10.0.0.1", 80), Endpoint("b", "10.0.0.2", 80)]
    >>> pool = EndpointPool("web", endpoints, strategy=Sticky(RoundRobin()))
    >>> [pool.select(Caller(session=session)).id for session in ("ann", "ben", "ann", "ann")]
    ['a', 'b', 'a', 'a']
    """

    def __init__(
        self, balancer: Balancer, *, sessions: int = 10_000, ttl: float = 1_800.0, clock: Clock = system_clock
    ) -> None:
        require(sessions >= 1, "sessions", "at least 1", sessions)
        require(ttl > 0, "ttl", "more than 0", ttl)
        self._balancer = balancer
        self._limit = sessions
        self._ttl = ttl
        self._clock = clock
        self._sessions: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __call__(self, candidates: Sequence[Candidate], caller: Caller) -> Candidate:
        if caller.session is None:
            return self._balancer(candidates, caller)
        chosen = self._known(candidates, caller.session) or self._balancer(candidates, caller)
        self._remember(caller.session, chosen)
        return chosen

    def _known(self, candidates: Sequence[Candidate], session: str) -> Candidate | None:
        number, until = self._sessions.get(session, (-1, 0.0))
        if self._clock.monotonic() >= until:
            return None
        return next((candidate for candidate in candidates if candidate.number == number), None)

    def _remember(self, session: str, chosen: Candidate) -> None:
        self._sessions[session] = (chosen.number, self._clock.monotonic() + self._ttl)
        self._sessions.move_to_end(session)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
