"""Health checks, on a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.health import Check, Result, Status, check_all
from holdfast.testing.clock import FakeClock


async def well() -> None:
    """Answers at once."""


async def ill() -> None:
    raise ConnectionRefusedError("nobody there")


async def hang() -> None:
    await asyncio.Event().wait()


async def test_a_check_that_answers_is_healthy_and_timed() -> None:
    clock = FakeClock()

    async def takes_its_time() -> None:
        await clock.sleep(0.2)

    asked = asyncio.ensure_future(check_all([Check("store", takes_its_time)], clock=clock))
    await _pass(clock, 0.2)
    assert (await asked)["store"] == Result(Status.HEALTHY, pytest.approx(0.2))


async def test_a_slow_answer_is_degraded() -> None:
    clock = FakeClock()

    async def slow() -> None:
        await clock.sleep(0.6)

    asked = asyncio.ensure_future(check_all([Check("store", slow, slow=0.5)], clock=clock))
    await _pass(clock, 0.6)
    assert (await asked)["store"].status is Status.DEGRADED


async def test_a_failure_is_unhealthy_with_its_type_and_text_and_leaves_the_others_alone() -> None:
    results = await check_all([Check("store", ill), Check("cache", well)])
    assert results["store"].status is Status.UNHEALTHY
    assert results["store"].error == "ConnectionRefusedError: nobody there"
    assert results["cache"].status is Status.HEALTHY


async def test_checks_that_hang_are_left_together_after_the_longest_timeout() -> None:
    clock = FakeClock()
    checks = [Check("store", hang, timeout=1.0), Check("ledger", hang, timeout=2.0)]
    asked = asyncio.ensure_future(check_all(checks, clock=clock))
    await _pass(clock, 1.0)
    assert not asked.done()
    await _pass(clock, 1.0)
    results = await asked
    assert {result.status for result in results.values()} == {Status.UNHEALTHY}


async def test_a_probe_that_will_not_be_cancelled_does_not_hold_up_the_answer() -> None:
    clock = FakeClock()
    released = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await released.wait()

    asked = asyncio.ensure_future(check_all([Check("store", stubborn, timeout=1.0)], clock=clock))
    await _pass(clock, 1.0)
    assert (await asked)["store"].status is Status.UNHEALTHY
    released.set()
    await _pass(clock, 0.0)


@pytest.mark.parametrize("wrong", [{"timeout": 0.0}, {"slow": -1.0}])
def test_a_check_without_a_bound_is_an_error(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Check("store", well, **wrong)


async def _pass(clock: FakeClock, seconds: float) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    clock.advance(seconds)
    for _ in range(5):
        await asyncio.sleep(0)
