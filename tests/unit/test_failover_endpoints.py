"""Behaviour of endpoint pools: who belongs, who is asked, what is counted, and who is taken out."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions, State
from holdfast.errors import OutcomeUnknown, Permanent, TimedOut, Unavailable
from holdfast.events import Event
from holdfast.failover import (
    AllEndpointsFailed,
    Caller,
    CheckResult,
    Endpoint,
    EndpointPool,
    ErrorKind,
    HealthCheck,
    HealthStatus,
    Invalid,
    NoCandidate,
    NotFound,
    OutlierOptions,
    PoolOptions,
    nothing_happened,
)
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout

CHECK = HealthCheck(healthy_threshold=2, unhealthy_threshold=3)


def endpoint(name: str, **more: Any) -> Endpoint:
    return Endpoint(name, "10.0.0.1", 1000 + ord(name[0]), **more)


class World:
    """A pool on a fake clock whose endpoints do as the test says."""

    def __init__(self, *endpoints: Endpoint, **options: Any) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.errors: dict[str, Exception] = {}
        self.pool = EndpointPool(
            "x", endpoints, options=PoolOptions(**options), clock=self.clock, listener=self.events.append
        )

    def call(self, endpoint: Endpoint) -> str:
        self.clock.advance(0.01)
        if endpoint.id in self.errors:
            raise self.errors[endpoint.id]
        return endpoint.id

    def answers(self, calls: int = 10) -> Counter[str]:
        return Counter(self.pool.execute_with_failover(self.call).result for _ in range(calls))

    def selected(self, calls: int = 10, caller: Caller | None = None) -> set[str]:
        return {self.pool.select(caller or Caller()).id for _ in range(calls)}

    def check(self, name: str, *results: HealthStatus) -> None:
        for result in results:
            self.pool.report(self.pool.get(name), CHECK, CheckResult(result, 0.1, "as the test says"))

    def told(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.attributes) for event in self.events if event.name == name]


GOOD, POOR, BAD = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY
NEVER = OutlierOptions(consecutive_failures=10**9)


def two(**options: Any) -> World:
    return World(endpoint("a"), endpoint("b"), **options)


# Who belongs.


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


# Who is asked.


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


# Calls.


def test_an_answer_says_where_it_is_from_and_what_it_took() -> None:
    world = two()
    world.errors["a"] = ConnectionResetError("gone")
    execution = world.pool.execute_with_failover(world.call)
    assert (execution.endpoint.id, execution.result, execution.attempts) == ("b", "b", 2)
    assert execution.duration == pytest.approx(0.02)
    (failure,) = execution.failures
    assert (failure.endpoint.id, failure.error) == ("a", world.errors["a"])
    assert failure.duration == pytest.approx(0.01)


def test_when_the_attempts_are_used_up_every_error_is_carried() -> None:
    world = World(*[endpoint(name) for name in "abcd"], attempts=3)
    world.errors = {name: Unavailable(name) for name in "abcd"}
    with pytest.raises(AllEndpointsFailed) as caught:
        world.pool.execute_with_failover(world.call)
    assert [str(error) for error in caught.value.exceptions] == ["a", "b", "c"]
    assert [(each.endpoint.id, str(each.error)) for each in caught.value.failures] == [(name, name) for name in "abc"]
    assert caught.value.failures[0].duration == pytest.approx(0.01)
    assert not caught.value.unsure


def test_all_are_tried_before_any_is_tried_again() -> None:
    world = World(endpoint("a"), endpoint("b"), endpoint("c"), attempts=6)
    world.errors = {name: Unavailable(name) for name in "abc"}
    with pytest.raises(AllEndpointsFailed) as caught:
        world.pool.execute_with_failover(world.call)
    tried = [str(error) for error in caught.value.exceptions]
    assert set(tried[:3]) == set(tried[3:]) == {"a", "b", "c"}


def test_a_definite_answer_is_raised_as_it_is_and_held_against_nobody() -> None:
    world = two(outliers=OutlierOptions(consecutive_failures=1))
    world.errors = {"a": Permanent("no"), "b": Permanent("no")}
    for _ in range(5):
        with pytest.raises(Permanent, match="no"):
            world.pool.execute_with_failover(world.call)
    assert world.pool.stats().usable == 2


def test_what_must_not_happen_twice_stops_at_an_unsure_answer() -> None:
    clock = FakeClock()
    pool = EndpointPool("x", [endpoint("a"), endpoint("b")], clock=clock, fail_over_on=nothing_happened)
    asked: list[str] = []

    def unsure(endpoint: Endpoint) -> None:
        asked.append(endpoint.id)
        raise OutcomeUnknown("lost")

    with pytest.raises(OutcomeUnknown):
        pool.execute_with_failover(unsure)
    assert asked == ["a"]


async def test_attempts_wait_their_backoff_and_give_up_early_at_a_deadline() -> None:
    world = two(attempts=4, backoff=constant(1.0))
    world.errors = {"a": Unavailable("a"), "b": Unavailable("b")}
    began = world.clock.monotonic()
    with pytest.raises(AllEndpointsFailed) as caught:
        world.pool.execute_with_failover(world.call)
    assert world.clock.monotonic() - began == pytest.approx(3.04)
    assert len(caught.value.exceptions) == 4
    with pytest.raises(AllEndpointsFailed) as caught:
        Timeout(1.5, clock=world.clock).call(world.pool.execute_with_failover, world.call)
    assert len(caught.value.exceptions) == 2


async def test_async_attempts_wait_their_backoff_too() -> None:
    world, asked = two(attempts=3, backoff=constant(1.0)), list[float]()

    async def call(endpoint: Endpoint) -> str:
        asked.append(world.clock.monotonic() - began)
        raise Unavailable(endpoint.id)

    began = world.clock.monotonic()
    running = asyncio.create_task(world.pool.aexecute_with_failover(call))
    for _ in range(2):
        await world.clock.until_waiting()
        world.clock.advance(1.0)
    with pytest.raises(AllEndpointsFailed):
        await running
    assert asked == [0.0, 1.0, 2.0]


async def test_a_late_attempt_is_ended_and_the_next_endpoint_is_asked() -> None:
    world = two(timeout=2.0)

    async def call(endpoint: Endpoint) -> str:
        if endpoint.id == "a":
            await asyncio.Event().wait()
        return endpoint.id

    waiting = asyncio.ensure_future(world.pool.aexecute_with_failover(call))
    await world.clock.until_waiting()
    world.clock.advance(2.0)
    execution = await waiting
    assert execution.result == "b"
    assert isinstance(execution.failures[0].error, TimedOut)
    last = world.pool.stats().endpoints["a"].last_error
    assert last is not None
    assert last.kind is ErrorKind.TIMEOUT


def test_with_nobody_to_ask_it_says_so() -> None:
    with pytest.raises(NoCandidate):
        World().pool.execute_with_failover(lambda endpoint: endpoint)


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("breaker", [None, BreakerOptions(minimum_calls=1)])
async def test_a_cancelled_call_leaves_nothing_behind_and_counts_as_nothing(
    turns: int, breaker: BreakerOptions | None
) -> None:
    running = 0

    async def call(endpoint: Endpoint) -> str:
        nonlocal running
        running += 1
        try:
            for _ in range(4):
                await asyncio.sleep(0)
            if endpoint.id != "c":
                raise Unavailable(endpoint.id)
            return endpoint.id
        finally:
            running -= 1

    pool = EndpointPool("x", [endpoint(name) for name in "abc"], options=PoolOptions(breaker=breaker, timeout=30.0))
    task = asyncio.ensure_future(pool.aexecute_with_failover(call))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stats = pool.stats()
    assert (running, stats.in_flight) == (0, 0)
    assert stats.calls == stats.failed == (turns - 1) // 4 if turns else stats.calls == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_that_is_cancelled_from_within_has_failed_and_the_next_is_asked() -> None:
    async def call(endpoint: Endpoint) -> str:
        if endpoint.id == "a":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        return endpoint.id

    assert (await two().pool.aexecute_with_failover(call)).result == "b"


def test_an_interrupted_call_gives_its_place_back() -> None:
    world = two()

    def interrupted(_endpoint: Endpoint) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.pool.execute_with_failover(interrupted)
    assert (world.pool.stats().in_flight, world.pool.stats().calls) == (0, 0)


def test_bookkeeping_that_fails_after_a_success_causes_no_second_call(caplog: pytest.LogCaptureFixture) -> None:
    world = two()
    asked: list[str] = []

    def call(endpoint: Endpoint) -> str:
        asked.append(endpoint.id)
        world.pool.clock.monotonic = lambda: float("nan")  # type: ignore[method-assign]
        return endpoint.id

    assert world.pool.execute_with_failover(call).result == "a"
    assert asked == ["a"]
    assert "the bookkeeping" in caplog.text


def test_a_classifier_that_fails_means_failure_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_error: Exception) -> Any:
        raise ZeroDivisionError

    pool = EndpointPool("x", [endpoint("a"), endpoint("b")], classify=broken, clock=FakeClock())

    def call(endpoint: Endpoint) -> str:
        if endpoint.id == "a":
            raise Unavailable("a")
        return endpoint.id

    assert pool.execute_with_failover(call).result == "b"
    assert "ZeroDivisionError" in caplog.text


def test_a_lease_is_counted_while_it_lasts_and_judged_once() -> None:
    world = two()
    lease = world.pool.lease()
    assert world.pool.stats().endpoints[lease.endpoint.id].in_flight == 1
    lease.failure(Unavailable("a"))
    lease.success()
    stats = world.pool.stats().endpoints[lease.endpoint.id]
    assert (stats.in_flight, stats.calls, stats.failed) == (0, 1, 1)
    with pytest.raises(Unavailable), world.pool.lease() as lease:
        raise Unavailable("b")
    assert world.pool.stats().failed == 2
    world.pool.lease().release()
    assert world.pool.stats().calls == 2


def test_many_threads_leave_the_counts_exact() -> None:
    pool = EndpointPool("x", [endpoint(name) for name in "abc"], options=PoolOptions(outliers=NEVER))
    most = threading.Barrier(8)

    def work() -> None:
        most.wait(10)
        for _ in range(200):
            pool.execute_with_failover(lambda endpoint: endpoint.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    stats = pool.stats()
    assert (stats.calls, stats.in_flight) == (1600, 0)
    assert {each.calls for each in stats.endpoints.values()} <= {533, 534}


# Who is taken out.


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


# Looking and changing.


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
    assert (latest.event.name, latest.event.attributes["kind"]) == ("endpoint.call_failed", "connection")
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
        {"attempts": 0},
        {"timeout": 0.0},
        {"half_life": float("inf")},
        {"panic_threshold": 1.5},
    ],
)
def test_pool_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        PoolOptions(**wrong)


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


def test_a_balancer_that_chooses_nobody_it_was_given_is_found_out() -> None:
    def wrong(_candidates: Sequence[Any], _caller: Caller) -> Any:
        return "a"

    with pytest.raises(TypeError, match="must return one of its candidates"):
        EndpointPool("x", [endpoint("a")], strategy=wrong).select()


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


def test_a_new_strategy_starts_from_nothing() -> None:
    weighted = World(endpoint("a"), endpoint("b", weight=3.0))
    weighted.pool.configure(strategy="weighted")
    fresh = [weighted.pool.select().id for _ in range(4)]
    weighted.pool.select()
    weighted.pool.configure(strategy="weighted")
    assert [weighted.pool.select().id for _ in range(4)] == fresh
