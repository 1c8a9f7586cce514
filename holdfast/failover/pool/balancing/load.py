"""To whoever has the least to do, or does best."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ....checks import require
from .candidate import Caller, Candidate
from .rotation import RoundRobin

# Seconds: what is hoped of whom nothing is known, so that a slow one is asked again when its past has faded.
_HOPED = 0.001

Load = Callable[[Candidate], float]


def in_flight(candidate: Candidate) -> float:
    """Calls under way, for each unit of weight, as they would be with this one.

    >>> TwoChoices().load is in_flight
    True
    """
    return (candidate.in_flight + 1) / candidate.endpoint.weight


def expected_wait(candidate: Candidate) -> float:
    """Seconds until the calls under way and this one are done, at the recent pace."""
    return in_flight(candidate) * candidate.recent().expected_time(_HOPED)


class LeastConnections:
    """The one with the fewest calls in flight for its weight; in turn among equals.

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> endpoints = [Endpoint("a", "10.0.0.1", 80), Endpoint("b", "10.0.0.2", 80)]
    >>> pool = EndpointPool("web", endpoints, strategy=LeastConnections())
    >>> with pool.lease() as busy:
    ...     pool.select().id
    'b'
    """

    def __init__(self) -> None:
        self._turns = RoundRobin()

    def __call__(self, candidates: Sequence[Candidate], caller: Caller) -> Candidate:
        loads = [in_flight(candidate) for candidate in candidates]
        least = min(loads)
        return self._turns([each for each, load in zip(candidates, loads, strict=True) if load == least], caller)


@dataclass(eq=False)
class TwoChoices:
    """The better of two drawn by lot: nearly as even as asking all of them, and no herd runs to the emptiest.

    load: `in_flight`, or `expected_wait` to prefer the quick ones.

    Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12 (2001).

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> endpoints = [Endpoint("a", "10.0.0.1", 80), Endpoint("b", "10.0.0.2", 80)]
    >>> pool = EndpointPool("web", endpoints, strategy=TwoChoices(expected_wait))
    >>> with pool.lease() as busy:
    ...     pool.select() is busy.endpoint
    False
    """

    load: Load = in_flight
    rng: random.Random = field(default_factory=random.Random)

    def __call__(self, candidates: Sequence[Candidate], _caller: Caller) -> Candidate:
        if len(candidates) == 1:
            return candidates[0]
        return min(self.rng.sample(candidates, 2), key=self.load)


@dataclass(eq=False)
class ByHealth:
    """At random, more likely the more weight an endpoint has and the sooner a call to it succeeded lately.

    unknown: seconds, more than 0, that one is expected to take of whom nothing is known.

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> endpoints = [Endpoint("a", "10.0.0.1", 80), Endpoint("b", "10.0.0.2", 80)]
    >>> pool = EndpointPool("web", endpoints, strategy=ByHealth(unknown=0.05))
    >>> sorted({pool.select().id for _ in range(100)})
    ['a', 'b']
    """

    unknown: float = 0.1
    rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        require(self.unknown > 0, "unknown", "more than 0", self.unknown)

    def __call__(self, candidates: Sequence[Candidate], _caller: Caller) -> Candidate:
        return self.rng.choices(candidates, [self._odds(candidate) for candidate in candidates])[0]

    def _odds(self, candidate: Candidate) -> float:
        return candidate.endpoint.weight / candidate.recent().expected_time(self.unknown)
