"""What a pool of endpoints shows of itself, and how it is changed while it works."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.breaker import BreakerOptions
from holdfast.errors import Unavailable
from holdfast.failover import AllEndpointsFailed, EndpointPool, ErrorKind, Invalid, PoolOptions
from tests.support.pools import BAD, GOOD, World, endpoint, two


def test_statistics_are_of_the_last_day_and_events_the_latest_first() -> None:
    world = two()
    world.errors["a"] = ConnectionResetError("gone")
    world.answers(4)
    stats = world.pool.stats()
    assert (stats.calls, stats.failed, stats.usable) == (8, 4, 2)
    first = stats.endpoints["a"]
    assert first.success_rate == 0.0
    assert first.average_response_time == pytest.approx(0.01)
    assert first.last_error is not None
    assert first.last_error.kind is ErrorKind.CONNECTION
    latest = world.pool.events(limit=1)[0]
    assert latest.event.name == "endpoint.call_failed"
    assert latest.event.attributes == {"endpoint": "a", "kind": "connection", "error.type": "ConnectionResetError"}
    assert latest.at == pytest.approx(world.clock.time(), abs=0.1)
    world.clock.advance(25 * 3600.0)
    assert world.pool.stats().calls == 0


def test_statistics_tell_who_named_an_endpoint_and_when() -> None:
    world = two()
    world.pool.sync([endpoint("c")], source="consul")
    start = world.clock.time()
    world.clock.advance(60.0)
    world.pool.update(endpoint("a", weight=2))
    world.pool.update(endpoint("b"))
    stats = world.pool.stats().endpoints
    assert [stats[name].source for name in "abc"] == ["", "", "consul"]
    assert [stats[name].registered_at for name in "abc"] == [start] * 3
    assert [stats[name].updated_at for name in "abc"] == [start + 60.0, start, start]


def test_no_more_events_are_kept_than_asked_for() -> None:
    pool = EndpointPool("x", log_size=2)
    for name in "abcd":
        pool.register(endpoint(name))
    assert [entry.event.attributes["endpoint"] for entry in pool.events()] == ["d", "c"]


def test_status_changes_are_told_once_with_the_reason() -> None:
    world = two()
    world.check("a", GOOD, GOOD, BAD, BAD, BAD, BAD)
    changes = [(event["from"], event["to"]) for event in world.told("endpoint.status_changed")]
    assert changes == [("unknown", "healthy"), ("healthy", "unhealthy")]
    assert world.told("endpoint.status_changed")[1]["detail"] == "as the test says"


def test_a_listener_may_call_the_pool() -> None:
    seen: list[int] = []
    pool: EndpointPool
    pool = EndpointPool("x", listener=lambda _event: seen.append(len(pool.list())))
    pool.register(endpoint("a"))
    assert seen == [1]


def test_strategy_and_options_change_while_it_works_and_nothing_known_is_lost() -> None:
    world = World(endpoint("a"), endpoint("b", weight=3.0))
    world.check("a", GOOD)
    world.answers(4)
    world.pool.configure(strategy="weighted", options=PoolOptions(attempts=1, breaker=BreakerOptions()))
    assert world.answers(8) == {"a": 2, "b": 6}
    assert world.pool.status("a") is GOOD
    assert world.pool.stats().calls == 12
    assert world.pool.stats().endpoints["a"].breaker is not None
    assert world.told("pool.configured") == [{"strategy": "Weighted"}]
    world.errors = {"a": Unavailable("a"), "b": Unavailable("b")}
    with pytest.raises(AllEndpointsFailed) as caught:
        world.answers(1)
    assert len(caught.value.exceptions) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"timeout": 0.0},
        {"half_life": float("inf")},
        {"panic_threshold": 1.5},
    ],
)
def test_pool_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        PoolOptions(**wrong)
