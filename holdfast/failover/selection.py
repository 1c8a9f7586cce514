"""In which order providers are asked.

A selection is a function: it is given the standing of each provider, in the order they were registered, and what
is known of the call, and returns those to ask, best first. One it leaves out is not asked. Anything of that shape
will do; these are the ones most often wanted. Without any, the order of registration counts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..checks import require
from .tally import Estimate


@dataclass(frozen=True, slots=True)
class Standing:
    """A provider as a selection sees it: how calls of this method went of late."""

    name: str
    recent: Estimate


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a call when the order is chosen."""

    method: str
    region: str | None = None


Selection = Callable[[Sequence[Standing], Request], Sequence[Standing]]


@dataclass(frozen=True)
class ByRegion:
    """The providers listed for the call's region, in the listed order.

    regions: names of providers by region.
    others:  ask those not listed too, after them. A call without a region, or from one not listed, asks all
             in the order they came, whatever this says.

    >>> standings = [Standing(name, Estimate()) for name in ("plaid", "mx", "belvo")]
    >>> select: Selection = ByRegion({"MX": ["belvo", "mx"]})
    >>> [standing.name for standing in select(standings, Request("accounts", region="MX"))]
    ['belvo', 'mx']
    """

    regions: Mapping[str, Sequence[str]]
    others: bool = False

    def __call__(self, standings: Sequence[Standing], request: Request) -> Sequence[Standing]:
        names = self.regions.get(request.region) if request.region is not None else None
        if names is None:
            return standings
        by_name = {standing.name: standing for standing in standings}
        listed = [by_name[name] for name in names if name in by_name]
        rest = [standing for standing in standings if standing.name not in names] if self.others else []
        return [*listed, *rest]


@dataclass(frozen=True)
class ByExpectedTime:
    """Soonest success first, as the recent past has it.

    If calls of one with success rate p and response time t go on until one succeeds, the expected number of calls
    is 1/p (geometric distribution), the expected time t/p. As the past fades, t goes back to `unknown`.

    unknown: seconds, more than 0: how long one takes of whom nothing is known. Small is curious, large is cautious.

    >>> slow, quick = Estimate(successes=9, seconds=9.0), Estimate(successes=9, seconds=0.9)
    >>> standings = ByExpectedTime()([Standing("slow", slow), Standing("quick", quick)], Request("accounts"))
    >>> [standing.name for standing in standings]
    ['quick', 'slow']
    """

    unknown: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.unknown < math.inf, "unknown", "more than 0 and finite", self.unknown)

    def __call__(self, standings: Sequence[Standing], _request: Request) -> Sequence[Standing]:
        return sorted(standings, key=lambda standing: standing.recent.expected_time(self.unknown))


@dataclass(frozen=True)
class Thompson:
    """Learns who is best while using them: each goes first about as often as it is likely to be the best.

    A failure is worth 0, a success between 0 and 1, less the longer it takes. For each provider a worth is drawn
    from what the past makes likely (a beta distribution), and the highest draw goes first. Who is little known
    draws widely and so is tried now and then; the past fades, so one that has recovered is found again.

    Source: W. R. Thompson, Biometrika 25 (1933); for worths between 0 and 1: Agrawal and Goyal, COLT (2012);
    with forgetting: Raj and Kalyani, arXiv:1707.09727 (2017).

    patience: seconds, more than 0: a success that takes so long is worth 1/2.

    >>> good, bad = Estimate(successes=1_000), Estimate(failures=1_000)
    >>> Thompson()([Standing("bad", bad), Standing("good", good)], Request("accounts"))[0].name
    'good'
    """

    patience: float = 1.0
    rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        require(0 < self.patience < math.inf, "patience", "more than 0 and finite", self.patience)

    def __call__(self, standings: Sequence[Standing], _request: Request) -> Sequence[Standing]:
        return sorted(standings, key=self._drawn, reverse=True)

    def _drawn(self, standing: Standing) -> float:
        recent = standing.recent
        time = recent.response_time or 0.0
        worth = recent.successes * self.patience / (self.patience + time)
        rest = recent.successes + recent.failures - worth
        return self.rng.betavariate(worth + 1, rest + 1)


def in_stages(*selections: Selection) -> Selection:
    """Each selection chooses among what the one before it left, in that order: a region first, then the fastest.

    >>> select = in_stages(ByRegion({"US": ["plaid", "mx"]}), ByExpectedTime())
    >>> select([], Request("accounts", region="US"))
    []
    """

    def select(standings: Sequence[Standing], request: Request) -> Sequence[Standing]:
        for selection in selections:
            standings = selection(standings, request)
        return standings

    return select
