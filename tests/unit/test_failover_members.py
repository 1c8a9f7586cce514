"""Which endpoints belong to a pool, and which of them are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.failover import Caller, CheckResult, Endpoint, EndpointPool, HealthStatus, Invalid, NoCandidate, NotFound
from tests.support.pools import BAD, CHECK, GOOD, POOR, World, endpoint, two


def test_endpoints_are_registered_read_updated_listed_and_deregistered() -> None:
    world = World(endpoint("a", tags=frozenset({"fast", "eu"})))
    world.pool.register(endpoint("b", tags=frozenset({"eu"})))
    assert [each.id for each in world.pool.list()] == ["a", "b"]
    assert [each.id for each in world.pool.list("eu", "fast")] == ["a"]
    world.pool.update(endpoint("b", weight=3.0))
    assert world.pool.get("b").weight == 3.0
    world.pool.deregister("a")
    assert [each.id for each in world.pool.list()] == ["b"]
    names = [event.name for event in world.events]
    assert names == ["endpoint.registered", "endpoint.registered", "endpoint.updated", "endpoint.deregistered"]


def test_unknown_and_taken_ids_are_typed_errors() -> None:
    world = two()
    for wrong in (world.pool.get, world.pool.deregister, world.pool.status):
        with pytest.raises(NotFound, match="pool 'x' has no endpoint 'z'"):
            wrong("z")
    with pytest.raises(NotFound):
        world.pool.update(endpoint("z"))
    with pytest.raises(Invalid, match="has an endpoint 'a' already"):
        world.pool.register(endpoint("a"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("address", ""),
        ("address", "a b"),
        ("address", "host/path"),
        ("port", 0),
        ("port", 65_536),
        ("protocol", ""),
        ("weight", -1.0),
        ("weight", float("nan")),
        ("metadata", {"latitude": "91", "longitude": "0"}),
        ("metadata", {"latitude": "north", "longitude": "0"}),
        ("metadata", {"latitude": "0", "longitude": "nan"}),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_and_the_value_named(field: str, value: Any) -> None:
    values: dict[str, Any] = {"id": "a", "address": "10.0.0.1", "port": 80} | {field: value}
    with pytest.raises(Invalid, match="of an endpoint must be"):
        Endpoint(**values)


def test_an_endpoint_can_be_read_from_a_url() -> None:
    read = Endpoint.parse("https://db.example.org:5433?weight=2&priority=1&tag=eu&tag=fast&region=eu-1")
    assert (read.id, read.address, read.port) == ("https://db.example.org:5433", "db.example.org", 5433)
    assert (read.weight, read.priority, read.tags) == (2.0, 1, frozenset({"eu", "fast"}))
    assert read.metadata == {"region": "eu-1"}
    assert Endpoint.parse("https://[fd00::1]").url == "https://[fd00::1]:443"


@pytest.mark.parametrize("text", ["", "10.0.0.1:80", "http://", "http://a:99999", "http://a?weight=much", "http://a?b"])
def test_a_url_that_names_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Endpoint.parse(text)


def test_a_source_replaces_its_own_endpoints_and_no_others() -> None:
    world = World(endpoint("a"))
    world.pool.register(endpoint("b"), source="other")
    world.pool.sync([endpoint("c"), endpoint("d"), endpoint("a", weight=9.0)], source="dns")
    world.pool.sync([endpoint("d", weight=2.0), endpoint("e")], source="dns")
    assert [each.id for each in world.pool.list()] == ["a", "b", "d", "e"]
    assert world.pool.get("a").weight == 1.0
    assert world.pool.get("d").weight == 2.0
    world.pool.sync([], source="dns")
    assert [each.id for each in world.pool.list()] == ["a", "b"]


def test_an_update_keeps_what_is_known_unless_the_endpoint_has_moved() -> None:
    world = two()
    world.check("a", BAD)
    world.pool.update(endpoint("a", weight=2.0))
    assert world.pool.status("a") is BAD
    world.pool.update(Endpoint("a", "10.0.0.99", 80))
    assert world.pool.status("a") is HealthStatus.UNKNOWN


def test_a_check_of_where_an_endpoint_was_says_nothing_of_where_it_is() -> None:
    world = two()
    old = world.pool.get("a")
    world.pool.update(Endpoint("a", "10.0.0.99", 80))
    world.pool.report(old, CHECK, CheckResult(BAD))
    assert world.pool.status("a") is HealthStatus.UNKNOWN
    world.pool.deregister("a")
    world.pool.report(old, CHECK, CheckResult(BAD))


def test_only_endpoints_with_the_callers_tags_are_asked() -> None:
    world = World(endpoint("a", tags=frozenset({"eu"})), endpoint("b"))
    assert world.selected(caller=Caller(tags=frozenset({"eu"}))) == {"a"}
    with pytest.raises(NoCandidate):
        world.pool.select(Caller(tags=frozenset({"mars"})))


def test_lower_priorities_are_asked_only_when_no_better_one_can_be() -> None:
    world = World(endpoint("a", priority=1), endpoint("b", priority=0), endpoint("c", priority=0))
    assert world.selected() == {"b", "c"}
    world.check("b", BAD)
    world.check("c", BAD)
    assert world.selected() == {"a"}


def test_degraded_ones_are_asked_when_no_healthy_one_is_left_and_unhealthy_ones_never() -> None:
    world = World(endpoint("a"), endpoint("b"), endpoint("c"))
    world.check("a", POOR)
    world.check("b", BAD)
    assert world.selected() == {"c"}
    world.check("c", BAD, BAD, BAD)
    assert world.selected() == {"a"}
    world.check("a", BAD, BAD, BAD)
    with pytest.raises(NoCandidate, match="no endpoint of 'x' can be asked now"):
        world.pool.select()


def test_what_the_source_reports_counts_like_a_check_and_the_worse_of_both_holds() -> None:
    world = World(endpoint("a", reported=BAD), endpoint("b", reported=POOR), endpoint("c", reported=GOOD))
    assert [world.pool.status(name) for name in "abc"] == [BAD, POOR, GOOD]
    world.check("a", GOOD)
    world.check("b", BAD)
    world.check("c", POOR)
    assert [world.pool.status(name) for name in "abc"] == [BAD, BAD, POOR]


def test_in_a_panic_all_are_asked() -> None:
    world = World(*[endpoint(name) for name in "abcd"], panic_threshold=0.5)
    world.check("a", BAD)
    world.check("b", BAD)
    assert world.selected() == {"c", "d"}
    world.check("c", BAD)
    assert world.selected() == {"a", "b", "c", "d"}


def test_a_balancer_that_chooses_nobody_it_was_given_is_found_out() -> None:
    def wrong(_candidates: Sequence[Any], _caller: Caller) -> Any:
        return "a"

    with pytest.raises(TypeError, match="must return one of its candidates"):
        EndpointPool("x", [endpoint("a")], strategy=wrong).select()


def test_a_new_strategy_starts_from_nothing() -> None:
    weighted = World(endpoint("a"), endpoint("b", weight=3.0))
    weighted.pool.configure(strategy="weighted")
    fresh = [weighted.pool.select().id for _ in range(4)]
    weighted.pool.select()
    weighted.pool.configure(strategy="weighted")
    assert [weighted.pool.select().id for _ in range(4)] == fresh
