"""Behaviour of retry budgets: how many tries all layers have together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.backoff import constant
from holdfast.budget import RetryBudget
from holdfast.errors import Unavailable
from holdfast.events import Event
from holdfast.policy import Policy, compose
from holdfast.retry import Retry
from holdfast.testing.clock import FakeClock
from tests.support.flaky import Flaky, down


def layers(count: int, retry: Policy) -> Policy:
    return compose(*[retry] * count)


def test_three_layers_of_retries_multiply_and_a_budget_bounds_their_sum() -> None:
    clock = FakeClock()
    unbounded, bounded = Flaky(*down(999)), Flaky(*down(999))
    with pytest.raises(Unavailable):
        layers(3, Retry(3, clock=clock)).call(unbounded)
    assert unbounded.calls == 3 * 3 * 3
    budget = RetryBudget(0.1, reserve=5, per_second=0, clock=clock)
    with pytest.raises(Unavailable):
        layers(3, Retry(3, budget=budget, clock=clock)).call(bounded)
    assert bounded.calls <= 1 + 5


def test_in_an_outage_the_budget_lets_a_tenth_more_calls_through_however_many_layers_retry() -> None:
    clock, work = FakeClock(), Flaky(*down(99_999))
    budget = RetryBudget(0.1, reserve=10, per_second=0, clock=clock)
    guarded = layers(3, Retry(3, budget=budget, clock=clock))(work)
    for _ in range(1_000):
        with pytest.raises(Unavailable):
            guarded()
    # Three layers each put in for their own calls, and those of the inner two are more by the retries around them.
    assert 1_000 + 10 < work.calls <= 1_000 + (10 + 3 * 100) / (1 - 2 * 0.1) + 1


def test_a_spent_budget_raises_the_error_at_once_and_good_calls_fill_it_again() -> None:
    heard, clock = list[Event](), FakeClock(monotonic=0.0)
    budget = RetryBudget(0.5, reserve=1, per_second=0, clock=clock)
    retry = Retry(9, constant(1.0), budget=budget, clock=clock, listener=heard.append)
    work = Flaky(*down(2))
    with pytest.raises(Unavailable, match="attempt 2"):
        retry.call(work)
    assert heard[-1].attributes["reason"] == "budget"
    assert (retry.call(work), retry.call(work)) == ("done", "done")
    assert retry.call(Flaky(*down(1))) == "done"


def test_a_block_puts_in_for_its_call_however_often_it_is_tried() -> None:
    clock, work = FakeClock(), Flaky(*down(1))
    budget = RetryBudget(1.0, reserve=5, per_second=0, clock=clock)
    while budget.withdraw():
        """Empty it."""
    for attempt in Retry(budget=budget, clock=clock):
        with attempt:
            work()
    assert (work.calls, budget.left) == (2, 0)


def test_a_budget_fills_with_time_up_to_its_reserve() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.0, reserve=3, per_second=0.5, clock=clock)
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
    clock.advance(1.9)
    assert not budget.withdraw()
    clock.advance(0.1)
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
    clock.advance(3_600.0)
    assert budget.left == 3


def test_a_budget_counts_right_however_many_threads_share_it() -> None:
    budget = RetryBudget(1.0, reserve=10_000, per_second=0)
    while budget.withdraw():
        """Empty it."""

    def work() -> int:
        for _ in range(1_000):
            budget.deposit()
        return sum(budget.withdraw() for _ in range(500))

    with ThreadPoolExecutor(4) as pool:
        taken = sum(pool.map(lambda _: work(), range(4)))
    budget.deposit()
    assert taken + budget.left == 4 * 1_000 + 1


@pytest.mark.parametrize("options", [{"ratio": -0.1}, {"per_second": -1.0}, {"reserve": 0.5}])
def test_a_budget_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        RetryBudget(**options)  # type: ignore[arg-type]
