"""What is not counted but looked up at each scrape."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from holdfast.breaker import CircuitBreaker, State
from holdfast.operations.ports import LedgerStats, Pool
from holdfast.operations.tally import BOUNDS, Tally

from . import families
from .families import Family

# Worse is more, so that a maximum over processes is the worst of them.
STATES = {state: 0 for state in State if state.passes} | {State.HALF_OPEN: 1, State.OPEN: 2, State.ISOLATED: 3}


class Pools(Collector):
    """The connections of each pool."""

    def __init__(self, pools: Mapping[str, Callable[[], Pool]]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        connections, most = families.POOL_CONNECTIONS.levels(), families.POOL_SIZE.levels()
        for name, look in self._pools.items():
            pool = look()
            connections.add_metric([name, "used"], pool.used)
            connections.add_metric([name, "idle"], pool.idle)
            most.add_metric([name], pool.most)
        yield from (connections, most)


class Breakers(Collector):
    """The state of each breaker."""

    def __init__(self, breakers: Mapping[str, CircuitBreaker]) -> None:
        self._breakers = breakers

    def collect(self) -> Iterator[Metric]:
        states = families.BREAKER_STATE.levels()
        for name, breaker in self._breakers.items():
            states.add_metric([name], STATES[breaker.state])
        yield states


class Build(Collector):
    """Which versions run."""

    def __init__(self) -> None:
        self._versions = [version("holdfast"), platform.python_version()]

    def collect(self) -> Iterator[Metric]:
        build = families.BUILD.levels()
        build.add_metric(self._versions, 1)
        yield build


class LedgerFacts(Collector):
    """What the ledger counts.

    now: as of this scrape. None leaves the facts out: those of an earlier scrape would look as if they were current.
    """

    def __init__(self) -> None:
        self.now: LedgerStats | None = None

    def collect(self) -> Iterator[Metric]:
        yield _level(families.LEDGER_KNOWN, self.now is not None)
        if self.now is not None:
            yield from _backlog(self.now)
            yield from _tally(self.now.tally)


def _backlog(stats: LedgerStats) -> Iterator[Metric]:
    age = 0.0 if stats.oldest is None else max(0.0, time.time() - stats.oldest)
    yield _level(families.WAITING, stats.waiting)
    yield _level(families.AGE, age)
    yield _level(families.MAILBOXES, stats.mailboxes)
    yield _level(families.DEAD, stats.dead)


def _tally(tally: Tally) -> Iterator[Metric]:
    outcomes = ("succeeded", "failed", "superseded", "cancelled")
    settled = {outcome: getattr(tally, outcome) for outcome in outcomes} | {"dead": tally.died}
    yield _counts(families.HELD, {"": tally.held})
    yield _counts(families.SETTLED, settled)
    yield _counts(families.REVIVED, {"": tally.revived})
    yield _counts(families.PUT_BACK, {"outage": tally.put_back, "fault": tally.faults})
    yield _counts(families.MISSING, {"": tally.missing})
    latency = families.REPLAY_LATENCY.distribution()
    bounds = [*map(repr, BOUNDS), "+Inf"]
    latency.add_metric([], list(zip(bounds, accumulate(tally.replays), strict=True)), tally.replay_seconds)
    yield latency


def _level(family: Family, value: float) -> Metric:
    levels = family.levels()
    levels.add_metric([], value)
    return levels


def _counts(family: Family, values: Mapping[str, float]) -> Metric:
    """A counter with these values by its one label; for one without labels, the value is under an empty name."""
    counts = family.counts()
    for value, count in values.items():
        counts.add_metric([value] if family.labels else [], count)
    return counts
