"""Pipelines from a configuration: what is wrong is named, and what changes keeps its state."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from holdfast import (
    AdaptiveLimit,
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    Hedge,
    Policy,
    RateLimited,
    Rejected,
    Retry,
    Timeout,
    Unavailable,
    Verdict,
)
from holdfast.events import Event
from holdfast.pipelines import ConfigurationError, Pipelines, advise
from holdfast.testing.clock import FakeClock

SOURCE = """
[budgets.store]
ratio = 0.1
reserve = 2
per_second = 0

[[pipelines.orders]]
policy = "retry"
attempts = 3
backoff = { base = 0.1, cap = 2.0 }
budget = "store"

[[pipelines.orders]]
policy = "breaker"
minimum_calls = 2

[[pipelines.orders]]
policy = "timeout"
seconds = 5

[[pipelines.orders]]
policy = "bulkhead"
limit = 2
"""


def source(**changes: dict[str, Any]) -> dict[str, Any]:
    """The configuration above, with other options for a policy; None takes one away."""
    made = tomllib.loads(SOURCE)
    for step in made["pipelines"]["orders"]:
        step |= changes.get(step["policy"], {})
    return made


def fails() -> None:
    raise Unavailable("away")


def test_a_configuration_makes_the_pipeline_that_it_describes() -> None:
    events: list[Event] = []
    pipelines = Pipelines(source(), listener=events.append)
    assert list(pipelines) == ["orders"]
    with pytest.raises(CircuitOpen):
        pipelines["orders"].call(fails)
    told = [(event.source, event.name) for event in events]
    assert told == [
        ("orders.retry", "retry.scheduled"),
        ("orders.breaker", "breaker.state_changed"),
        ("orders.retry", "retry.scheduled"),
        ("orders.breaker", "breaker.rejected"),
        ("orders.retry", "retry.gave_up"),
    ]


@pytest.mark.parametrize(
    ("wrong", "where", "said"),
    [
        ({"pipeline": {}}, "pipeline", "did you mean pipelines?"),
        ({"pipelines": []}, "pipelines", "must be a table"),
        ({"pipelines": {"a": []}}, "pipelines.a", "must be a list of policies"),
        ({"pipelines": {"a": [{"policy": "retry"}] * 2}}, "pipelines.a[1]", "another one is called a.retry already"),
        (
            {"pipelines": {"a.b": [{"policy": "retry"}], "a": [{"policy": "chaos", "name": "b.retry"}]}},
            "pipelines.a[0]",
            "another one is called a.b.retry already",
        ),
        ({"budgets": {"a": {"ratio": -1}}}, "budgets.a", "must be at least 0, got -1"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(wrong: dict[str, Any], where: str, said: str) -> None:
    assert_refused(wrong, where, said)


@pytest.mark.parametrize(
    ("step", "where", "said"),
    [
        ("retry", "", 'for example { policy = "retry" }'),
        ({}, ".policy", "is missing; one of retry, breaker"),
        ({"policy": "retri"}, ".policy", "did you mean retry?"),
        ({"policy": "breaker", "name": 7}, ".name", "must be a text"),
        ({"policy": "timeout"}, ".seconds", "is missing; for example seconds = 0.5"),
        ({"policy": "retry", "atempts": 3}, ".atempts", "did you mean attempts?"),
        ({"policy": "retry", "attempts": "3"}, ".attempts", "a whole number, got '3'; for example attempts = 3"),
        ({"policy": "retry", "attempts": True}, ".attempts", "must be a whole number"),
        ({"policy": "retry", "clamp": 1}, ".clamp", "true or false"),
        ({"policy": "retry", "attempts": 0}, "", "attempts must be at least 1, got 0"),
        ({"policy": "retry", "backoff": {"bas": 1}}, ".backoff.bas", "did you mean base?"),
        ({"policy": "retry", "backoff": 1}, ".backoff", "must be a table, got 1; for example backoff = {"),
        (
            {"policy": "retry", "backoff": {"base": 9, "cap": 1}},
            ".backoff",
            "cap must be at least base, 9, and finite, got 1",
        ),
        ({"policy": "bulkhead", "limit": 2, "queue": -1}, "", ": queue must be at least 0, got -1"),
        (
            {"policy": "breaker", "open_duration": "long"},
            ".open_duration",
            "must be a number or a table, got 'long'; for example open_duration = 5.0, or { base = 5.0, cap = 300.0 }",
        ),
        ({"policy": "breaker", "open_duration": True}, ".open_duration", "must be a number or a table, got True"),
        ({"policy": "breaker", "open_duration": {"bas": 1}}, ".open_duration.bas", "did you mean base?"),
        ({"policy": "breaker", "open_duration": {"base": "1"}}, ".open_duration.base", "must be a number, got '1'"),
        (
            {"policy": "breaker", "open_duration": {"curve": "steep"}},
            ".open_duration",
            "curve must be constant, linear",
        ),
        ({"policy": "retry", "budget": "b"}, ".budget", "there is no budget 'b'"),
        ({"policy": "stale"}, ".max_age", "is missing; for example max_age = 0.5"),
        (
            {"policy": "adaptive_limit", "algorithm": {"slow": 1}},
            ".algorithm.kind",
            "must be one of aimd, gradient, got None",
        ),
        ({"policy": "adaptive_limit", "algorithm": {"kind": "aimd", "slo": 1}}, ".algorithm.slo", "did you mean slow?"),
        ({"policy": "adaptive_limit", "algorithm": {"kind": "aimd", "shrink": 2}}, "", "shrink must be between 0"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named_too(step: Any, where: str, said: str) -> None:
    assert_refused({"pipelines": {"a": [{"policy": "chaos"}, step]}}, f"pipelines.a[1]{where}", said)


def assert_refused(wrong: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Pipelines(wrong)
    assert error.value.where == where
    assert str(error.value).startswith(f"{where}: ")
    assert said in str(error.value)


def test_a_reload_names_what_changed_and_leaves_the_rest_as_it_is() -> None:
    pipelines = Pipelines(source())
    assert pipelines.reload(source()) == []
    assert pipelines.reload(source(retry={"attempts": 4}, bulkhead={"limit": 5})) == ["orders.retry", "orders.bulkhead"]
    assert pipelines.reload({}) == [f"orders.{name}" for name in ("retry", "breaker", "timeout", "bulkhead")]
    assert list(pipelines) == []


def test_which_errors_may_pass_is_said_once_for_all_pipelines() -> None:
    quick = {"base": 0.001, "cap": 0.001}
    steps = [{"policy": "stale", "max_age": 60}, {"policy": "retry", "attempts": 3, "backoff": quick}]
    calls: list[int] = []

    def call(fails: bool) -> int:
        calls.append(1)
        if fails and len(calls) > 1:
            raise ConnectionResetError
        return 7

    told: list[Event] = []
    source = {"pipelines": {"a": [*steps, {"policy": "adaptive_limit", "initial": 10}]}}
    pipelines = Pipelines(source, transient=ConnectionError, listener=told.append)
    assert [pipelines["a"].call(call, True) for _ in range(2)] == [7, 7]
    assert len(calls) == 1 + 3
    names = [event.name for event in told]
    assert (names.count("retry.scheduled"), names.count("stale.served"), names.count("adaptive_limit.changed")) == (
        2,
        1,
        3,
    )
    with pytest.raises(ConnectionResetError):
        Pipelines(source)["a"].call(call, True)
    assert len(calls) == 1 + 3 + 1


def test_what_errors_mean_to_the_breakers_can_be_said_too() -> None:
    pipelines = Pipelines(breaker(minimum_calls=1), classify=lambda _error: Verdict.IGNORE)
    for _ in range(3):
        with pytest.raises(Unavailable):
            pipelines["a"].call(fails)


def test_an_adaptive_limit_is_steered_as_configured() -> None:
    def limited(**algorithm: Any) -> Pipelines:
        step = {"policy": "adaptive_limit", "initial": 10, "algorithm": algorithm}
        return Pipelines({"pipelines": {"a": [step]}}, listener=told.append)

    told: list[Event] = []
    for algorithm, to in (({"kind": "aimd", "shrink": 0.5}, 5), ({"kind": "gradient", "shrink": 0.8}, 8)):
        with pytest.raises(Unavailable):
            limited(**algorithm)["a"].call(fails)
        assert told[-1].attributes == {"from": 10, "to": to}


def test_stale_results_are_kept_through_a_reload_and_older_ones_no_longer_given() -> None:
    def stale(max_age: float) -> dict[str, Any]:
        return {"pipelines": {"a": [{"policy": "stale", "max_age": max_age}]}}

    answers = iter([7])

    def call() -> int:
        for answer in answers:
            return answer
        raise Unavailable("away")

    clock = FakeClock()
    pipelines = Pipelines(stale(60), clock=clock)
    assert pipelines["a"].call(call) == 7
    clock.advance(90)
    pipelines.reload(stale(120))
    assert pipelines["a"].call(call) == 7
    pipelines.reload(stale(80))
    with pytest.raises(Unavailable):
        pipelines["a"].call(call)


def test_a_function_that_was_guarded_before_follows_a_reload() -> None:
    pipelines = Pipelines({"pipelines": {"a": [{"policy": "retry", "attempts": 1}]}})
    calls = []

    @pipelines["a"]
    def call() -> None:
        calls.append(1)
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        call()
    backoff = {"base": 0.001, "cap": 0.001}
    pipelines.reload({"pipelines": {"a": [{"policy": "retry", "attempts": 3, "backoff": backoff}]}})
    with pytest.raises(Unavailable):
        call()
    assert len(calls) == 1 + 3


def breaker(**options: Any) -> dict[str, Any]:
    return {"pipelines": {"a": [{"policy": "breaker", "minimum_calls": 4, "open_duration": 60.0, **options}]}}


def test_a_breaker_can_stay_open_longer_each_time_by_the_same_table_as_a_retry_waits() -> None:
    clock = FakeClock()
    growing = {"base": 5.0, "cap": 300.0, "factor": 3.0, "jitter": "none"}
    pipelines = Pipelines(breaker(minimum_calls=1, open_duration=growing), clock=clock)
    for seconds in (5.0, 15.0, 45.0):
        with pytest.raises(Unavailable):
            pipelines["a"].call(fails)
        with pytest.raises(CircuitOpen) as refused:
            pipelines["a"].call(fails)
        assert refused.value.retry_after == pytest.approx(seconds)
        clock.advance(seconds)


def test_an_open_breaker_stays_open_through_a_reload() -> None:
    pipelines = Pipelines(breaker())
    for _ in range(4):
        with pytest.raises(Unavailable):
            pipelines["a"].call(fails)
    assert pipelines.reload(breaker(failure_rate=0.9, window_size=7)) == ["a.breaker"]
    with pytest.raises(CircuitOpen):
        pipelines["a"].call(fails)


def test_what_a_breaker_has_counted_is_judged_by_its_new_options() -> None:
    pipelines = Pipelines(breaker(minimum_calls=10))
    for _ in range(3):
        with pytest.raises(Unavailable):
            pipelines["a"].call(fails)
    pipelines.reload(breaker(minimum_calls=4))
    with pytest.raises(Unavailable):
        pipelines["a"].call(fails)
    with pytest.raises(CircuitOpen):
        pipelines["a"].call(fails)


def test_a_breaker_that_is_measured_otherwise_begins_a_new_window() -> None:
    pipelines = Pipelines(breaker())
    for _ in range(3):
        with pytest.raises(Unavailable):
            pipelines["a"].call(fails)
    pipelines.reload(breaker(window_size=50))
    for _ in range(4):
        with pytest.raises(Unavailable):
            pipelines["a"].call(fails)
    with pytest.raises(CircuitOpen):
        pipelines["a"].call(fails)


def test_what_was_spent_of_a_rate_limit_stays_spent() -> None:
    def limit(**options: Any) -> dict[str, Any]:
        return {"pipelines": {"a": [{"policy": "rate_limit", "period": 60.0, **options}]}}

    pipelines = Pipelines(limit(limit=1), clock=FakeClock())
    pipelines["a"].call(abs, 1)
    pipelines.reload(limit(limit=2))
    with pytest.raises(RateLimited):
        pipelines["a"].call(abs, 1)


def test_running_calls_count_in_a_bulkhead_whose_limit_was_changed() -> None:
    pipelines = Pipelines({"pipelines": {"a": [{"policy": "bulkhead", "limit": 2}]}})

    def within() -> None:
        pipelines.reload({"pipelines": {"a": [{"policy": "bulkhead", "limit": 1}]}})
        with pytest.raises(BulkheadFull):
            pipelines["a"].call(abs, 1)

    pipelines["a"].call(within)
    assert pipelines["a"].call(abs, -1) == 1


def test_what_is_left_of_a_budget_stays_unless_the_budget_changed() -> None:
    def budgeted(**options: Any) -> dict[str, Any]:
        retry = {"policy": "retry", "attempts": 3, "budget": "b", "backoff": {"base": 0.001, "cap": 0.001}}
        return {"budgets": {"b": {"ratio": 0, "per_second": 0, **options}}, "pipelines": {"a": [retry]}}

    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        fails()

    pipelines = Pipelines(budgeted(reserve=1))
    for changed, counted in ((budgeted(reserve=1), 2), (budgeted(reserve=1), 3), (budgeted(reserve=2), 6)):
        pipelines.reload(changed)
        with pytest.raises(Unavailable):
            pipelines["a"].call(call)
        assert len(calls) == counted


def test_what_is_left_of_a_budget_stays_for_a_retry_that_changed() -> None:
    def budgeted(attempts: int) -> dict[str, Any]:
        retry = {"policy": "retry", "attempts": attempts, "budget": "b", "backoff": {"base": 0.001, "cap": 0.001}}
        return {"budgets": {"b": {"ratio": 0, "per_second": 0, "reserve": 1}}, "pipelines": {"a": [retry]}}

    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        fails()

    pipelines = Pipelines(budgeted(3))
    for attempts, counted in ((3, 2), (4, 3)):
        pipelines.reload(budgeted(attempts))
        with pytest.raises(Unavailable):
            pipelines["a"].call(call)
        assert len(calls) == counted


def test_a_wrong_configuration_changes_nothing() -> None:
    pipelines = Pipelines(source())
    wrong = source(breaker={"minimum_calls": 5}, bulkhead={"limit": 0})
    with pytest.raises(ConfigurationError, match=r"^pipelines\.orders\[3\]: limit must be at least 1"):
        pipelines.reload(wrong)
    assert pipelines.reload(source()) == []
    with pytest.raises(CircuitOpen):  # after two failures, not five
        pipelines["orders"].call(fails)


ADVISED: list[tuple[list[Policy], list[str]]] = [
    ([CircuitBreaker("a"), Retry()], ["breaker-outside-retry"]),
    ([Retry(), Retry()], ["retry-within-retry"]),
    ([Hedge(), Retry()], ["hedge-outside-retry"]),
    ([Timeout(1), CircuitBreaker("a")], ["timeout-only-outside-breaker"]),
    ([Timeout(1), Bulkhead(1, queue=1)], ["timeout-outside-queue"]),
    ([Timeout(1), AdaptiveLimit(queue=1)], ["timeout-outside-queue"]),
    ([Bulkhead(1), Timeout(1, abandon=True)], ["bulkhead-outside-abandon"]),
    ([AdaptiveLimit(), Timeout(1, abandon=True)], ["bulkhead-outside-abandon"]),
    ([Retry(retry_on=(Unavailable, Rejected))], ["retry-of-rejections"]),
    ([Timeout(9), Retry(), Bulkhead(1, queue=1), CircuitBreaker("a"), Timeout(1)], ["timeout-outside-queue"]),
    ([Retry(), Bulkhead(1, queue=1), CircuitBreaker("a"), Timeout(1)], []),
    ([Timeout(9), Retry(), CircuitBreaker("a"), Timeout(1), Bulkhead(1)], []),
]


@pytest.mark.parametrize(("policies", "codes"), ADVISED)
def test_orders_that_go_wrong_are_found(policies: list[Policy], codes: list[str]) -> None:
    assert [advice.code for advice in advise(*policies)] == codes


def test_the_advice_on_each_pipeline_is_there_to_be_shown() -> None:
    steps = [{"policy": "breaker"}, {"policy": "retry"}]
    pipelines = Pipelines({"pipelines": {"bad": steps, "good": steps[::-1]}})
    assert {name: [one.code for one in found] for name, found in pipelines.advice.items()} == {
        "bad": ["breaker-outside-retry"]
    }


def test_a_full_bulkhead_of_ones_own_never_opens_the_breaker() -> None:
    steps = [{"policy": "breaker", "minimum_calls": 1}, {"policy": "bulkhead", "limit": 1}]
    pipelines = Pipelines({"pipelines": {"a": steps}})

    def within() -> None:
        for _ in range(20):
            with pytest.raises(BulkheadFull):
                pipelines["a"].call(abs, 1)

    pipelines["a"].call(within)
    assert pipelines["a"].call(abs, -1) == 1


def test_retries_within_retries_are_bounded_by_the_budget_they_share() -> None:
    backoff = {"base": 0.0001, "cap": 0.0001}
    retry = {"policy": "retry", "attempts": 3, "backoff": backoff, "budget": "b"}
    steps = [{**retry, "name": name} for name in ("outer", "middle", "inner")]
    budget = {"ratio": 0, "reserve": 4, "per_second": 0}
    pipelines = Pipelines({"budgets": {"b": budget}, "pipelines": {"a": steps}})
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        fails()

    with pytest.raises(Unavailable):
        pipelines["a"].call(call)
    assert len(calls) == 1 + 4
