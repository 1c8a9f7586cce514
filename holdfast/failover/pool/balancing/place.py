"""To whoever is nearest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ....checks import require
from ..endpoint import Location
from .candidate import Balancer, Caller, Candidate
from .rotation import RoundRobin

_EARTH_RADIUS = 6_371.0088  # kilometres, the mean radius of IUGG's reference system


def distance(one: Location, other: Location) -> float:
    """Kilometres along the great circle (haversine formula, Sinnott 1984).

    >>> round(distance(Location(0, 0), Location(0, 90)))  # a quarter of the equator
    10008
    """
    north, east = math.radians(other.latitude - one.latitude), math.radians(other.longitude - one.longitude)
    shrink = math.cos(math.radians(one.latitude)) * math.cos(math.radians(other.latitude))
    chord = math.sin(north / 2) ** 2 + shrink * math.sin(east / 2) ** 2
    return 2 * _EARTH_RADIUS * math.asin(math.sqrt(min(1.0, chord)))


class Nearest:
    """The endpoints nearest to the caller; where it is unknown, those of its region; else all.

    within: kilometres, at least 0: endpoints that are so little further away than the nearest are as good.
    among:  chooses among the equally near; in turn if not given.

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> paris = Endpoint("paris", "10.0.0.1", 80, metadata={"latitude": "48.9", "longitude": "2.4"})
    >>> tokyo = Endpoint("tokyo", "10.0.0.2", 80, metadata={"latitude": "35.7", "longitude": "139.7"})
    >>> EndpointPool("web", [tokyo, paris], strategy=Nearest()).select(Caller(location=Location(51.5, -0.1))).id
    'paris'
    """

    def __init__(self, within: float = 50.0, among: Balancer | None = None) -> None:
        require(within >= 0, "within", "at least 0", within)
        self._within = within
        self._among = among or RoundRobin()

    def __call__(self, candidates: Sequence[Candidate], caller: Caller) -> Candidate:
        near = self._near(candidates, caller.location) or _of_region(candidates, caller.region) or candidates
        return self._among(near, caller)

    def _near(self, candidates: Sequence[Candidate], here: Location | None) -> list[Candidate]:
        if here is None:
            return []
        known = [(distance(here, there), each) for each in candidates if (there := each.endpoint.location)]
        if not known:
            return []
        limit = min(away for away, _ in known) + self._within
        return [candidate for away, candidate in known if away <= limit]


def _of_region(candidates: Sequence[Candidate], region: str | None) -> list[Candidate]:
    if region is None:
        return []
    return [candidate for candidate in candidates if candidate.endpoint.metadata.get("region") == region]
