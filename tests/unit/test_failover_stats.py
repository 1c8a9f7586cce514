"""Behaviour of the statistics of failovers: what a person sees who looks at them."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.errors import Permanent, Unavailable
from holdfast.failover import AllProvidersFailed, ErrorKind, Estimate, Failover, NotFound, Provider, Throttled
from holdfast.failover.tally import Counts, Rolling
from holdfast.pipelines import Pipelines
from holdfast.policy import Policy
from holdfast.testing.clock import FakeClock

HOUR = 3600.0


class Dial:
    """Takes as long, and ends, as the test has set."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.takes = 0.0
        self.error: Exception | None = None

    def __call__(self) -> str:
        self.clock.advance(self.takes)
        if self.error is not None:
            raise self.error
        return "done"


def two(policy: Policy | None = None) -> tuple[FakeClock, Dial, Dial, Failover[Dial]]:
    clock = FakeClock()
    a, b = Dial(clock), Dial(clock)
    return clock, a, b, Failover("x", [Provider(a, "a", policy), Provider(b, "b")], clock=clock)


def test_before_any_call_there_are_no_rates() -> None:
    *_, failover = two()
    stats = failover.stats()
    assert (stats.requests, stats.failover_rate) == (0, None)
    assert (stats.providers["a"].success_rate, stats.providers["a"].average_response_time) == (None, None)


def test_rates_times_and_failovers_are_counted_for_each_provider() -> None:
    _, a, b, failover = two()
    call = failover.sync_method()
    a.takes, b.takes = 0.2, 0.4
    call()
    a.error = ConnectionResetError("gone")
    a.takes = 0.6
    call()
    stats = failover.stats()
    first, second = stats.providers["a"], stats.providers["b"]
    assert (first.calls, first.succeeded, first.failed, first.failovers) == (2, 1, 1, 1)
    assert first.success_rate == 0.5
    assert first.average_response_time == pytest.approx(0.4)
    assert first.last_error is not None
    assert (first.last_error.kind, first.last_error.text) == (ErrorKind.CONNECTION, "gone")
    assert (second.calls, second.success_rate, second.failovers) == (1, 1.0, 0)
    assert (stats.requests, stats.succeeded, stats.failed_over, stats.failover_rate) == (2, 2, 1, 0.5)


def test_a_day_later_only_the_last_error_is_left() -> None:
    clock, a, b, failover = two()
    a.error = b.error = Unavailable("down")
    with pytest.raises(AllProvidersFailed):
        failover.sync_method()()
    clock.advance(23 * HOUR)
    assert failover.stats().providers["a"].success_rate == 0.0
    clock.advance(1.5 * HOUR)
    assert failover.stats().providers["a"].success_rate is None
    assert failover.stats().requests == 0
    assert failover.stats().providers["a"].last_error is not None


def test_the_breakers_of_a_configured_pipeline_are_shown_and_skip_their_provider() -> None:
    steps = [{"policy": "retry", "attempts": 1}, {"policy": "breaker", "minimum_calls": 1}]
    guard = Pipelines({"pipelines": {"a": steps}})["a"]
    _, a, _, failover = two(guard)
    a.error = Unavailable("down")
    call = failover.sync_method()
    assert [call.execute().tries for _ in range(2)] == [2, 1]
    assert failover.stats().providers["a"].breakers["a.breaker"].state is State.OPEN
    assert failover.attempts()[1].ending == "skipped"


def test_breakers_and_rests_are_shown_as_they_are_now() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("a", BreakerOptions(minimum_calls=1), clock=clock)
    a, b = Dial(clock), Dial(clock)
    failover = Failover("x", [Provider(a, "a", breaker), Provider(b, "b")], clock=clock)
    a.error, b.error = Throttled(retry_after=30.0), Permanent("no")
    for _ in range(2):
        with pytest.raises(Permanent):
            failover.sync_method()()
    stats = failover.stats().providers["a"]
    assert stats.breakers["a"].state is State.OPEN
    assert stats.resting_for == pytest.approx(30.0)
    assert stats.skipped == 1


def test_a_request_that_was_stopped_counts_as_failed_and_not_as_failed_over() -> None:
    _, a, _, failover = two()
    a.error = Permanent("no")
    with pytest.raises(Permanent):
        failover.sync_method()()
    stats = failover.stats()
    assert (stats.requests, stats.failed, stats.failed_over) == (1, 1, 0)


def test_a_removed_provider_is_forgotten() -> None:
    clock, _, _, failover = two()
    failover.sync_method()()
    failover.remove("a")
    assert set(failover.stats().providers) == {"b"}
    failover.register(Provider(Dial(clock), "a"))
    assert failover.stats().providers["a"].calls == 0
    with pytest.raises(NotFound):
        failover.remove("gone")


@given(st.lists(st.floats(0, 3 * HOUR), max_size=60))
def test_a_window_holds_all_of_its_span_and_at_most_one_bucket_more_or_less(gaps: list[float]) -> None:
    rolling, now, times = Rolling(24 * HOUR, 96), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        times.append(now)
        rolling.add(now, Counts(succeeded=1))
    total = rolling.total(now).succeeded
    assert sum(now - time < 23.75 * HOUR for time in times) <= total <= sum(now - time <= 24 * HOUR for time in times)


def test_an_estimate_forgets_by_half_each_half_life() -> None:
    known = Estimate().with_call(0.0, 60.0, 0.5, failed=False).with_call(0.0, 60.0, 1.0, failed=True)
    later = known.decayed(120.0, 60.0)
    assert (later.successes, later.failures) == (0.25, 0.25)
    assert later.response_time == pytest.approx(0.5)
    assert known.decayed(1e9, 60.0).response_time is None


def test_many_threads_leave_the_counts_exact() -> None:
    failover = Failover("x", [Provider(lambda: 1, "a")], log_size=50)
    together = threading.Barrier(8)

    def work() -> None:
        together.wait(60)
        for _ in range(200):
            failover.sync_method()()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stats = failover.stats()
    assert (stats.requests, stats.providers["a"].succeeded) == (1600, 1600)
    assert len(failover.attempts()) == 50
