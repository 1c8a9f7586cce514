"""Behaviour of selections: who is asked first, learned or told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from holdfast.errors import Permanent, Unavailable
from holdfast.failover import (
    AllProvidersFailed,
    ByExpectedTime,
    ByRegion,
    Estimate,
    Failover,
    Provider,
    Selection,
    Standing,
    Thompson,
    in_stages,
)
from holdfast.failover.selection import Request
from holdfast.testing.clock import FakeClock

REGIONS = ByRegion({"US": ["plaid", "mx"], "MX": ["belvo", "mx"]})


class World:
    """Providers that take a while, and fail at a rate, in time that the test moves."""

    def __init__(self, select: Selection, seed: int = 1) -> None:
        self.clock = FakeClock()
        self.rng = random.Random(seed)
        self.takes: dict[str, float] = {}
        self.fails: dict[str, float] = {}
        self.failover = Failover[Callable[[], str]]("x", select=select, clock=self.clock, half_life=60.0)

    def add(self, name: str, *, takes: float, fails: float = 0.0) -> None:
        def call() -> str:
            self.clock.advance(self.takes[name])
            if self.rng.random() < self.fails[name]:
                raise Unavailable(name)
            return name

        self.takes[name], self.fails[name] = takes, fails
        self.failover.register(Provider(call, name))

    def first_asked(self, calls: int) -> Counter[str]:
        """How often each was asked first."""
        asked = Counter[str]()
        for _ in range(calls):
            try:
                execution = self.failover.sync_method().execute()
            except AllProvidersFailed:
                continue
            asked[execution.outcomes[0].provider] += 1
        return asked


def names(selection: Selection, region: str | None = None) -> list[str]:
    standings = [Standing(name, Estimate()) for name in ("mx", "plaid", "belvo", "finicity")]
    return [standing.name for standing in selection(standings, Request("sync", region))]


def test_a_region_has_its_own_providers_in_its_own_order() -> None:
    assert names(REGIONS, "US") == ["plaid", "mx"]
    assert names(REGIONS, "MX") == ["belvo", "mx"]


@pytest.mark.parametrize("region", [None, "FR"])
def test_a_call_from_nowhere_in_particular_asks_all(region: str | None) -> None:
    assert names(REGIONS, region) == ["mx", "plaid", "belvo", "finicity"]


def test_others_may_follow_those_of_the_region() -> None:
    assert names(ByRegion({"US": ["plaid"]}, others=True), "US") == ["plaid", "mx", "belvo", "finicity"]


def test_the_region_of_a_call_reaches_the_selection() -> None:
    world = World(REGIONS)
    for name in ("mx", "plaid", "belvo"):
        world.add(name, takes=0.1)
    method = world.failover.sync_method()
    assert method.in_region("MX")() == "belvo"
    assert method.in_region("US")() == "plaid"
    assert method.in_region("US").prefer("belvo")() == "belvo"


def test_the_quickest_to_succeed_is_asked_first_once_all_are_known() -> None:
    world = World(ByExpectedTime(unknown=0.01))
    world.add("slow", takes=0.5)
    world.add("flaky", takes=0.1, fails=0.9)
    world.add("good", takes=0.2)
    world.first_asked(20)
    assert world.first_asked(50) == {"good": 50}


def test_one_that_failed_once_is_not_written_off_for_ever() -> None:
    world = World(ByExpectedTime(unknown=0.3))
    world.add("quick", takes=0.1, fails=1.0)
    world.add("slow", takes=0.5)
    world.first_asked(5)
    world.fails["quick"] = 0.0
    assert world.first_asked(5) == {"slow": 5}
    world.clock.advance(3600)
    assert world.first_asked(5) == {"quick": 5}


def test_sampling_finds_the_best_and_follows_when_it_changes() -> None:
    world = World(Thompson(rng=random.Random(7)))
    world.add("a", takes=0.1, fails=0.5)
    world.add("b", takes=0.1, fails=0.02)
    world.add("c", takes=0.4, fails=0.02)
    world.first_asked(200)
    assert world.first_asked(200)["b"] > 150
    world.fails["b"] = 0.9
    world.first_asked(600)
    assert world.first_asked(200)["b"] < 40


def test_sampling_still_tries_the_others_now_and_then() -> None:
    world = World(Thompson(rng=random.Random(7)))
    world.add("a", takes=0.2)
    world.add("b", takes=0.21)
    asked = world.first_asked(500)
    assert min(asked["a"], asked["b"]) > 20


def test_stages_choose_among_what_the_one_before_left() -> None:
    world = World(in_stages(REGIONS, ByExpectedTime(unknown=0.01)))
    for name, takes in (("mx", 0.1), ("plaid", 0.5), ("belvo", 0.01)):
        world.add(name, takes=takes)
    method = world.failover.sync_method().in_region("US")
    for _ in range(5):
        method()
    assert method() == "mx"


@pytest.mark.parametrize("seconds", [0.0, float("inf"), float("nan")])
def test_an_impossible_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="unknown must be more than 0 and finite"):
        ByExpectedTime(unknown=seconds)
    with pytest.raises(ValueError, match="patience must be more than 0 and finite"):
        Thompson(patience=seconds)


def test_definite_answers_do_not_count_against_whom_gave_them() -> None:
    def picky() -> str:
        raise Permanent("a bad request")

    failover = Failover("x", [Provider(picky, "a"), Provider(lambda: "b", "b")], select=ByExpectedTime())
    for _ in range(5):
        with pytest.raises(Permanent):
            failover.sync_method()()
