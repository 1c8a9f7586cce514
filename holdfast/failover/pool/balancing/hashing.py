"""The same caller to the same endpoint, with nothing to remember."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .candidate import Balancer, Caller, Candidate, hash64
from .rotation import Random

_MASK = 2**64 - 1


class ByHash:
    """Rendezvous hashing: each endpoint draws a score from its id and the caller's key, and the highest is chosen.

    The draws of the others do not change when one comes or goes: its own keys move and no others, spread over all.
    Every process chooses alike. Weights count.

    Source: Thaler and Ravishankar, IEEE/ACM ToN 6 (1998); with weights: Schindelhauer and Schomaker, SPAA (2005).

    otherwise: chooses for callers without a key; at random if not given.

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> endpoints = [Endpoint("a", "10.0.0.1", 80), Endpoint("b", "10.0.0.2", 80)]
    >>> pool = EndpointPool("web", endpoints, strategy=ByHash())
    >>> len({pool.select(Caller(key="203.0.113.7")).id for _ in range(100)})
    1
    """

    def __init__(self, otherwise: Balancer | None = None) -> None:
        self._otherwise = otherwise or Random()

    def __call__(self, candidates: Sequence[Candidate], caller: Caller) -> Candidate:
        if caller.key is None:
            return self._otherwise(candidates, caller)
        key = hash64(caller.key)
        return max(candidates, key=lambda each: score(key, each.token, each.endpoint.weight))


def score(key: int, token: int, weight: float) -> float:
    """What an endpoint draws for a key: over all keys, it is the highest in proportion to the weights."""
    drawn = (_mix(key ^ token) + 0.5) / 2**64
    return -weight / math.log(drawn) if drawn < 1.0 else math.inf


def _mix(bits: int) -> int:
    """Spread 64 bits evenly (the finalizer of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31
