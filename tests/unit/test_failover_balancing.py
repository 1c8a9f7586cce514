"""Behaviour of the balancers: how evenly, how steadily and how fairly they choose."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from holdfast.errors import Unavailable
from holdfast.failover import (
    Balancer,
    ByHash,
    ByHealth,
    Caller,
    Candidate,
    Endpoint,
    EndpointPool,
    Invalid,
    LeastConnections,
    Location,
    Nearest,
    NoCandidate,
    PoolOptions,
    Random,
    RoundRobin,
    Sticky,
    TwoChoices,
    Weighted,
    balancer,
    distance,
    expected_wait,
)
from holdfast.testing.clock import FakeClock

BERLIN = Location(52.52, 13.40)
PLACES = {"paris": ("48.86", "2.35"), "tokyo": ("35.68", "139.69"), "warsaw": ("52.23", "21.01")}


def endpoints(count: int, weights: Mapping[str, float] | None = None) -> list[Endpoint]:
    names = [f"e{number}" for number in range(count)]
    return [Endpoint(name, "10.0.0.1", 1000 + n, weight=(weights or {}).get(name, 1.0)) for n, name in enumerate(names)]


def pool(balancer: Balancer, count: int = 5, weights: Mapping[str, float] | None = None, **more: Any) -> EndpointPool:
    options = PoolOptions(outliers=None)
    return EndpointPool("x", endpoints(count, weights), strategy=balancer, options=options, clock=FakeClock(), **more)


def chosen(pool: EndpointPool, calls: int, callers: Sequence[Caller] = (Caller(),)) -> Counter[str]:
    return Counter(pool.select(callers[n % len(callers)]).id for n in range(calls))


def keys(count: int) -> list[Caller]:
    return [Caller(key=f"10.1.{n // 256}.{n % 256}") for n in range(count)]


def assert_distribution(counts: Counter[str], shares: Mapping[str, float]) -> None:
    """Pearson's chi-square test: fails one time in ten thousand if the shares are true; seeds are fixed besides."""
    total, calls = sum(shares.values()), sum(counts.values())
    assert set(counts) <= set(shares)
    expected = {name: calls * share / total for name, share in shares.items()}
    statistic = sum((counts[name] - many) ** 2 / many for name, many in expected.items())
    freedom = len(shares) - 1
    # Wilson and Hilferty's approximation of the quantile at 0.9999, whose normal deviate is 3.719.
    spread = 2 / (9 * freedom)
    assert statistic < freedom * (1 - spread + 3.719 * spread**0.5) ** 3, counts


@pytest.mark.parametrize(
    "strategy",
    [
        Random(random.Random(1)),
        TwoChoices(rng=random.Random(2)),
        ByHealth(rng=random.Random(3)),
        ByHash(Random(random.Random(4))),
    ],
)
def test_equals_get_equal_shares_by_lot(strategy: Balancer) -> None:
    assert_distribution(chosen(pool(strategy), 5000), dict.fromkeys(["e0", "e1", "e2", "e3", "e4"], 1.0))


@pytest.mark.parametrize("strategy", [RoundRobin(), Weighted(), LeastConnections(), Nearest()])
def test_equals_take_turns_exactly(strategy: Balancer) -> None:
    assert chosen(pool(strategy), 500) == dict.fromkeys(["e0", "e1", "e2", "e3", "e4"], 100)


def test_keys_spread_evenly_over_equals() -> None:
    assert_distribution(chosen(pool(ByHash()), 20_000, keys(20_000)), {f"e{n}": 1.0 for n in range(5)})


@pytest.mark.parametrize(
    ("strategy", "callers"), [(ByHash(), keys(20_000)), (ByHealth(rng=random.Random(5)), [Caller()])]
)
def test_lots_and_keys_follow_the_weights(strategy: Balancer, callers: Sequence[Caller]) -> None:
    weights = {"e0": 5.0, "e1": 2.5, "e2": 1.0, "e3": 1.0, "e4": 0.5}
    assert_distribution(chosen(pool(strategy, weights=weights), 20_000, callers), weights)


def test_weights_are_followed_exactly_and_smoothly() -> None:
    weighted = pool(Weighted(), 3, {"e0": 5.0})
    assert [weighted.select().id for _ in range(7)] == ["e0", "e0", "e1", "e0", "e2", "e0", "e0"]
    assert chosen(weighted, 700) == {"e0": 500, "e1": 100, "e2": 100}


def test_a_weight_of_nothing_takes_an_endpoint_out() -> None:
    for strategy in (RoundRobin(), Weighted(), ByHash(), TwoChoices(), LeastConnections(), ByHealth()):
        assert chosen(pool(strategy, 3, {"e1": 0.0}), 30, keys(30)).keys() == {"e0", "e2"}
    with pytest.raises(NoCandidate):
        pool(RoundRobin(), 1, {"e0": 0.0}).select()


def test_when_an_endpoint_leaves_only_its_own_keys_move_and_spread_over_the_others() -> None:
    callers = keys(10_000)
    hashed = pool(ByHash())
    before = {caller.key: hashed.select(caller).id for caller in callers}
    hashed.deregister("e2")
    after = {caller.key: hashed.select(caller).id for caller in callers}
    moved = [key for key in before if before[key] != after[key]]
    assert {before[key] for key in moved} == {"e2"}
    assert_distribution(Counter(after[key] for key in moved), {"e0": 1.0, "e1": 1.0, "e3": 1.0, "e4": 1.0})


def test_an_endpoint_that_comes_takes_its_share_and_moves_nothing_else() -> None:
    callers = keys(10_000)
    hashed = pool(ByHash())
    before = {caller.key: hashed.select(caller).id for caller in callers}
    hashed.register(Endpoint("new", "10.0.0.9", 80))
    after = {caller.key: hashed.select(caller).id for caller in callers}
    moved = [key for key in before if before[key] != after[key]]
    assert {after[key] for key in moved} == {"new"}
    assert len(moved) == pytest.approx(10_000 / 6, rel=0.1)


def test_every_process_hashes_alike() -> None:
    hashed = pool(ByHash())
    # Known answers: they may not change from one release, machine or run to the next.
    assert [hashed.select(caller).id for caller in keys(8)] == ["e0", "e2", "e3", "e0", "e0", "e4", "e1", "e1"]


class Trial:
    """Calls to a pool in which some endpoints always fail, and where each call ended up."""

    def __init__(self, pool: EndpointPool, *failing: str) -> None:
        self.pool = pool
        self.failing = set(failing)

    def __call__(self, endpoint: Endpoint) -> str:
        if endpoint.id in self.failing:
            raise Unavailable(endpoint.id)
        return endpoint.id

    def answered(self, calls: int, callers: Sequence[Caller] = (Caller(),)) -> Counter[str]:
        many = len(callers)
        return Counter(self.pool.execute_with_failover(self, callers[n % many]).result for n in range(calls))


@pytest.mark.parametrize(
    ("strategy", "callers"),
    [
        (RoundRobin(), [Caller()]),
        (Weighted(), [Caller()]),
        (LeastConnections(), [Caller()]),
        (Random(random.Random(1)), [Caller()]),
        (TwoChoices(rng=random.Random(2)), [Caller()]),
        (ByHash(), keys(4000)),
    ],
)
@pytest.mark.parametrize("failing", ["e0", "e2", "e4"])
def test_the_share_of_one_that_fails_is_spread_over_all_others(
    strategy: Balancer, callers: Sequence[Caller], failing: str
) -> None:
    answered = Trial(pool(strategy), failing).answered(4000, callers)
    assert_distribution(answered, {f"e{n}": 1.0 for n in range(5) if f"e{n}" != failing})


def test_turns_go_on_where_they_were_when_others_come_and_go() -> None:
    turns = pool(RoundRobin(), 4)
    assert [turns.select().id for _ in range(2)] == ["e0", "e1"]
    turns.deregister("e0")
    turns.register(Endpoint("late", "10.0.0.9", 80))
    assert [turns.select().id for _ in range(5)] == ["e2", "e3", "late", "e1", "e2"]


def test_the_fewest_calls_in_flight_for_the_weight_are_asked_next() -> None:
    busy = pool(LeastConnections(), 3, {"e2": 2.0})
    leases = [busy.lease() for _ in range(8)]
    assert Counter(lease.endpoint.id for lease in leases) == {"e0": 2, "e1": 2, "e2": 4}
    leases[0].success()
    assert busy.lease().endpoint == leases[0].endpoint


def test_in_flight_counts_what_really_is_in_flight() -> None:
    busy = pool(LeastConnections(), 2)
    with busy.lease() as first, busy.lease() as second:
        assert first.endpoint != second.endpoint
        assert busy.stats().in_flight == 2
    assert busy.stats().in_flight == 0


def test_of_two_drawn_the_emptier_is_chosen() -> None:
    busy = pool(TwoChoices(rng=random.Random(1)), 10)
    held = Counter(busy.lease().endpoint.id for _ in range(1000))
    assert max(held.values()) - min(held.values()) <= 6
    alone = pool(Random(random.Random(1)), 10)
    by_lot = Counter(alone.lease().endpoint.id for _ in range(1000))
    assert max(by_lot.values()) - min(by_lot.values()) > 20


@pytest.mark.parametrize("strategy", [TwoChoices(expected_wait, random.Random(1)), ByHealth(rng=random.Random(1))])
def test_a_slow_or_failing_one_gets_less_and_gets_its_share_back_later(strategy: Balancer) -> None:
    clock = FakeClock()
    sick = {"e0": 5.0}
    options = PoolOptions(outliers=None, half_life=10.0, attempts=1)
    served = EndpointPool("x", endpoints(3), strategy=strategy, options=options, clock=clock)

    def call(endpoint: Endpoint) -> str:
        clock.advance(sick.get(endpoint.id, 0.1))
        return endpoint.id

    def share() -> float:
        results = [served.execute_with_failover(call).result for _ in range(600)]
        return results.count("e0") / 600

    share()
    assert share() < 0.1
    sick.clear()
    for _ in range(3):
        share()
    assert share() > 0.2


def geographic(among: Balancer | None = None) -> EndpointPool:
    places = [
        Endpoint(name, "10.0.0.1", 80, metadata={"latitude": north, "longitude": east, "region": name})
        for name, (north, east) in PLACES.items()
    ]
    return EndpointPool("x", [*places, Endpoint("nowhere", "10.0.0.1", 81)], strategy=Nearest(among=among))


def test_the_nearest_is_asked_and_the_next_nearest_when_it_fails() -> None:
    near = geographic()
    here = Caller(location=BERLIN)
    assert near.select(here).id == "warsaw"
    near.deregister("warsaw")
    assert near.select(here).id == "paris"
    near.deregister("paris")
    assert near.select(here).id == "tokyo"


def test_the_date_line_is_no_border() -> None:
    fiji = Endpoint("fiji", "10.0.0.1", 80, metadata={"latitude": "-18", "longitude": "178"})
    sydney = Endpoint("sydney", "10.0.0.1", 81, metadata={"latitude": "-33.9", "longitude": "151.2"})
    near = EndpointPool("x", [sydney, fiji], strategy=Nearest())
    assert near.select(Caller(location=Location(-13.8, -172.0))).id == "fiji"


def test_a_caller_of_unknown_place_goes_by_its_region_and_else_to_anyone() -> None:
    near = geographic()
    assert near.select(Caller(region="tokyo")).id == "tokyo"
    assert chosen(near, 8, [Caller(region="mars")]).keys() == {"paris", "tokyo", "warsaw", "nowhere"}


def test_distances_are_those_of_the_globe() -> None:
    new_york, london = Location(40.6413, -73.7781), Location(51.4700, -0.4543)
    assert distance(new_york, london) == pytest.approx(5_540, abs=10)
    assert distance(BERLIN, BERLIN) == 0.0


def test_equally_near_ones_share() -> None:
    near = geographic()
    close = {"latitude": "52.25", "longitude": "21.02"}
    near.register(Endpoint("praga", "10.0.0.1", 82, metadata=close))
    assert chosen(near, 10, [Caller(location=BERLIN)]) == {"warsaw": 5, "praga": 5}


def test_a_session_stays_where_it_is_until_it_has_to_move_and_then_stays_there() -> None:
    stuck = pool(Sticky(RoundRobin(), clock=FakeClock()))
    session = Caller(session="s1")
    first = stuck.select(session)
    assert {stuck.select(session).id for _ in range(20)} == {first.id}
    assert len({stuck.select(Caller()).id for _ in range(20)}) == 5
    stuck.deregister(first.id)
    second = stuck.select(session)
    stuck.register(first)
    assert {stuck.select(session).id for _ in range(20)} == {second.id}


def test_a_session_unused_for_its_time_is_forgotten() -> None:
    clock = FakeClock()
    stuck = pool(Sticky(RoundRobin(), ttl=60.0, clock=clock), 2)
    session = Caller(session="s1")
    first = stuck.select(session).id
    for _ in range(5):
        clock.advance(59.0)
        assert stuck.select(session).id == first
    clock.advance(60.0)
    assert stuck.select(session).id != first


def test_no_more_sessions_are_remembered_than_allowed() -> None:
    stuck = pool(Sticky(RoundRobin(), sessions=2, clock=FakeClock()), 3)
    places = {name: stuck.select(Caller(session=name)).id for name in ("a", "b")}
    stuck.select(Caller(session="a"))
    stuck.select(Caller(session="c"))
    assert stuck.select(Caller(session="a")).id == places["a"]
    assert stuck.select(Caller(session="b")).id != places["b"]


def test_a_balancer_of_ones_own_is_a_function() -> None:
    def last(candidates: Sequence[Candidate], _caller: Caller) -> Candidate:
        return candidates[-1]

    assert pool(last).select().id == "e4"


def test_every_strategy_has_a_name_and_an_unknown_one_is_refused() -> None:
    names = ["round_robin", "random", "weighted", "least_connections", "health", "geographic", "hash", "two_choices"]
    for name, caller in product(names, [Caller(), Caller(key="k", session="s", location=BERLIN, region="r")]):
        assert EndpointPool("x", endpoints(1), strategy=name).select(caller).id == "e0"
    with pytest.raises(Invalid, match="there is no strategy 'best'; there are round_robin"):
        balancer("best")
