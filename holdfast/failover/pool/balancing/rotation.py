"""Each in its turn, by lot, or in proportion to weights."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from .candidate import Caller, Candidate


class RoundRobin:
    """Each in its turn, in the order of registration.

    It goes on from the endpoint chosen last, not from a counter, so those who come, go or are passed over for a
    while shift nobody else's turn.
    """

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, candidates: Sequence[Candidate], _caller: Caller) -> Candidate:
        later = [candidate for candidate in candidates if candidate.number > self._last]
        chosen = min(later or candidates, key=_number)
        self._last = chosen.number
        return chosen


@dataclass(eq=False)
class Random:
    """Any of them, evenly.

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> endpoints = [Endpoint("a", "10.0.0.1", 80), Endpoint("b", "10.0.0.2", 80)]
    >>> pool = EndpointPool("web", endpoints, strategy=Random())
    >>> sorted({pool.select().id for _ in range(100)})
    ['a', 'b']
    """

    rng: random.Random = field(default_factory=random.Random)

    def __call__(self, candidates: Sequence[Candidate], _caller: Caller) -> Candidate:
        return self.rng.choice(candidates)


class Weighted:
    """In proportion to their weights, smoothly: 5, 1, 1 gives a a b a c a a and not a a a a a b c.

    At each turn everyone earns its weight in credit; the richest is chosen and pays what all have earned.

    Source: I. Sysoev, nginx 1.3.1, "upstream: smooth weighted round-robin balancing" (2012).

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> endpoints = [Endpoint(id, "10.0.0.1", 80, weight=weight) for id, weight in (("a", 5), ("b", 1), ("c", 1))]
    >>> pool = EndpointPool("web", endpoints, strategy=Weighted())
    >>> "".join(pool.select().id for _ in range(7))
    'aabacaa'
    """

    def __call__(self, candidates: Sequence[Candidate], _caller: Caller) -> Candidate:
        total = 0.0
        for candidate in candidates:
            candidate.credit += candidate.endpoint.weight
            total += candidate.endpoint.weight
        chosen = max(candidates, key=lambda candidate: (candidate.credit, -candidate.number))
        chosen.credit -= total
        return chosen


def _number(candidate: Candidate) -> int:
    return candidate.number
