"""Which endpoint to ask. A balancer is a function of those that could be asked and of who asks; any will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ...errors import Invalid
from .candidate import Balancer, Caller, Candidate
from .hashing import ByHash
from .load import ByHealth, LeastConnections, TwoChoices, expected_wait, in_flight
from .place import Nearest, distance
from .rotation import Random, RoundRobin, Weighted
from .sticky import Sticky

__all__ = [
    "STRATEGIES",
    "Balancer",
    "ByHash",
    "ByHealth",
    "Caller",
    "Candidate",
    "LeastConnections",
    "Nearest",
    "Random",
    "RoundRobin",
    "Sticky",
    "TwoChoices",
    "Weighted",
    "balancer",
    "distance",
    "expected_wait",
    "in_flight",
]

STRATEGIES: Final[Mapping[str, Callable[[], Balancer]]] = {
    "round_robin": RoundRobin,
    "random": Random,
    "weighted": Weighted,
    "least_connections": LeastConnections,
    "health": ByHealth,
    "geographic": Nearest,
    "hash": ByHash,
    "two_choices": TwoChoices,
}


def balancer(strategy: str) -> Balancer:
    """A balancer by its name, for configuration files; Invalid, with the names there are, for another.

    >>> type(balancer("round_robin")).__name__
    'RoundRobin'
    """
    if strategy not in STRATEGIES:
        raise Invalid(f"there is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    return STRATEGIES[strategy]()
