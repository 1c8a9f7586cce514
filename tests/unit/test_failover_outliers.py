"""Endpoints that fail are taken out of their pool for a while, by their failures or by their breaker."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from holdfast.breaker import BreakerOptions, State
from holdfast.errors import Permanent, Unavailable
from holdfast.failover import AllEndpointsFailed, Invalid, NoCandidate, OutlierOptions, PoolOptions
from tests.support.pools import World, endpoint, two


def test_failures_in_a_row_take_an_endpoint_out_for_a_while() -> None:
    world = two(outliers=OutlierOptions(consecutive_failures=3, ejection=30.0))
    world.errors["a"] = Unavailable("a")
    world.answers(6)
    assert world.told("endpoint.ejected") == [{"endpoint": "a", "seconds": 30.0}]
    assert world.selected() == {"b"}
    world.clock.advance(29.0)
    assert world.selected() == {"b"}
    world.clock.advance(1.0)
    assert world.selected() == {"a", "b"}
    assert world.told("endpoint.restored") == [{"endpoint": "a"}]


def test_a_success_between_ends_the_row() -> None:
    world = two(outliers=OutlierOptions(consecutive_failures=3))
    for _ in range(10):
        world.errors["a"] = Unavailable("a")
        world.answers(2)
        del world.errors["a"]
        world.answers(2)
    assert world.told("endpoint.ejected") == []


def test_a_rate_of_failures_takes_an_endpoint_out_too() -> None:
    options = OutlierOptions(consecutive_failures=10**6, failure_rate=0.4, minimum_calls=10)
    world = two(outliers=options, half_life=1e6)
    for _ in range(15):
        world.errors["a"] = Unavailable("a")
        world.answers(2)
        del world.errors["a"]
        world.answers(2)
    assert [event["endpoint"] for event in world.told("endpoint.ejected")] == ["a"]


def test_ejections_that_follow_each_other_soon_grow_and_are_capped_and_calm_forgets_them() -> None:
    options = OutlierOptions(consecutive_failures=1, ejection=10.0, longest_ejection=30.0)
    world = two(outliers=options)
    world.errors["a"] = Unavailable("a")
    for _ in range(4):
        world.answers(2)
        world.clock.advance(world.pool.stats().endpoints["a"].ejected_for)
    del world.errors["a"]
    world.clock.advance(31.0)
    world.errors["a"] = Unavailable("a")
    world.answers(2)
    assert [event["seconds"] for event in world.told("endpoint.ejected")] == [10.0, 20.0, 30.0, 30.0, 10.0]


@pytest.mark.parametrize(
    ("endpoints", "most", "out"), [(4, 0.5, 2), (5, 0.5, 2), (1, 0.5, 0), (3, 0.0, 0), (3, 1.0, 3)]
)
def test_no_more_than_the_cap_are_out_at_the_same_time(endpoints: int, most: float, out: int) -> None:
    options = OutlierOptions(consecutive_failures=1, most_ejected=most)
    world = World(*[endpoint(name) for name in "abcde"[:endpoints]], outliers=options, attempts=1)
    world.errors = {name: Unavailable(name) for name in "abcde"}
    for _ in range(20):
        with pytest.raises((AllEndpointsFailed, NoCandidate)):
            world.answers(1)
    assert world.pool.stats().usable == endpoints - out


def test_an_open_breaker_takes_its_endpoint_out_and_probes_bring_it_back() -> None:
    breaker = BreakerOptions(minimum_calls=2, window_size=10, open_duration=5.0)
    world = two(outliers=None, breaker=breaker)
    world.errors["a"] = Unavailable("a")
    assert world.answers(10) == {"b": 10}
    shown = world.pool.stats().endpoints["a"]
    assert shown.breaker is not None
    assert (shown.breaker.state, shown.calls) == (State.OPEN, 2)
    del world.errors["a"]
    world.clock.advance(5.0)
    assert world.answers(10) == {"a": 5, "b": 5}
    assert {event["reason"] for event in world.told("breaker.state_changed")} == {
        "failure_rate",
        "open_duration_over",
        "probes_succeeded",
    }


def test_while_a_probe_is_under_way_others_go_elsewhere() -> None:
    breaker = BreakerOptions(minimum_calls=1, window_size=10, open_duration=5.0)
    world = two(outliers=None, breaker=breaker)
    world.errors["a"] = Unavailable("a")
    world.answers(1)
    world.clock.advance(5.0)
    leases = [world.pool.lease() for _ in range(100)]
    assert Counter(lease.endpoint.id for lease in leases) == {"a": 1, "b": 99}
    for lease in leases:
        lease.release()
    assert world.pool.stats().in_flight == 0


def test_a_breaker_keeps_its_state_when_other_options_change() -> None:
    breaker = BreakerOptions(minimum_calls=1, window_size=10, open_duration=60.0)
    world = two(outliers=None, breaker=breaker)
    world.errors["a"] = Unavailable("a")
    world.answers(1)
    world.pool.configure(options=PoolOptions(outliers=None, breaker=breaker, attempts=5))
    assert world.selected() == {"b"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"consecutive_failures": 0},
        {"minimum_calls": 0},
        {"ejection": 0.0},
        {"longest_ejection": 1.0},
        {"most_ejected": 1.5},
        {"failure_rate": 0.0},
    ],
)
def test_outlier_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        OutlierOptions(**wrong)


def test_calls_that_fail_together_eject_once() -> None:
    outliers = OutlierOptions(consecutive_failures=1, most_ejected=1.0)
    world = World(*[endpoint(name) for name in "abc"], outliers=outliers)
    leases = [world.pool.lease() for _ in range(9)]
    for lease in leases:
        if lease.endpoint.id == "a":
            lease.failure(Unavailable("a"))
    assert len(world.told("endpoint.ejected")) == 1


def test_too_few_calls_have_no_rate_and_one_that_returns_starts_afresh() -> None:
    options = OutlierOptions(consecutive_failures=10**6, failure_rate=0.5, minimum_calls=5, ejection=1.0)
    world = two(outliers=options, half_life=1e9)
    world.errors["a"] = Unavailable("a")
    world.answers(4)
    assert world.told("endpoint.ejected") == []
    world.answers(2)
    assert len(world.told("endpoint.ejected")) == 1
    world.clock.advance(1.0)
    world.answers(3)
    assert len(world.told("endpoint.ejected")) == 1


def test_a_definite_answer_neither_ends_nor_lengthens_a_row_of_failures() -> None:
    world = World(endpoint("a"), endpoint("b"), outliers=OutlierOptions(consecutive_failures=2), attempts=1)
    for error in (Unavailable("1"), Permanent("no"), Permanent("no"), Unavailable("2")):
        assert world.told("endpoint.ejected") == []
        world.pool.lease().failure(error)
        world.pool.lease().release()
    assert world.told("endpoint.ejected") == [{"endpoint": "a", "seconds": 30.0}]


def test_a_probe_that_is_cancelled_makes_room_for_the_next_one() -> None:
    breaker = BreakerOptions(minimum_calls=1, window_size=10, open_duration=5.0)
    world = World(endpoint("a"), outliers=None, breaker=breaker, attempts=1)
    world.errors["a"] = Unavailable("a")
    with pytest.raises(AllEndpointsFailed):
        world.answers(1)
    world.clock.advance(5.0)
    world.pool.lease().release()
    del world.errors["a"]
    assert world.answers(1) == {"a": 1}
