"""Health checks, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.events import Event
from holdfast.health import Check, HealthRegistry, Result, Status, check_all
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
    results = await check_all([Check("store", ill), Check("cache", well)], clock=FakeClock())
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


class Flaky:
    """Fails so many times, then is well."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def __call__(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError("hiccup")


async def test_a_hiccup_that_a_second_try_gets_over_is_degraded_and_tells_what_it_was() -> None:
    clock = FakeClock()
    asked = asyncio.ensure_future(check_all([Check("store", Flaky(2), retries=2, retry_wait=0.1)], clock=clock))
    await _pass(clock, 0.1)
    await _pass(clock, 0.1)
    assert (await asked)["store"] == Result(
        Status.DEGRADED, pytest.approx(0.2), "ConnectionResetError: hiccup", attempts=3
    )


async def test_one_that_fails_every_try_is_unhealthy() -> None:
    result = (await check_all([Check("store", Flaky(9), retries=2, retry_wait=0.0)], clock=FakeClock()))["store"]
    assert (result.status, result.attempts, result.error) == (Status.UNHEALTHY, 3, "ConnectionResetError: hiccup")


async def test_all_tries_together_take_no_longer_than_the_timeout() -> None:
    clock = FakeClock()
    check = Check("store", Flaky(99), timeout=1.0, retries=99, retry_wait=0.4)
    asked = asyncio.ensure_future(check_all([check], clock=clock))
    for _ in range(3):
        await _pass(clock, 0.4)
    result = (await asked)["store"]
    assert (result.status, result.attempts) == (Status.UNHEALTHY, 3)


@pytest.mark.parametrize(
    ("store", "cache", "expected"),
    [(well, well, Status.HEALTHY), (well, ill, Status.DEGRADED), (ill, well, Status.UNHEALTHY)],
)
async def test_the_whole_is_as_well_as_what_it_cannot_do_without(store: Any, cache: Any, expected: Status) -> None:
    registry = HealthRegistry([Check("store", store), Check("cache", cache, critical=False)], clock=FakeClock())
    assert (await registry.check()).status is expected


async def test_a_registry_asks_those_that_are_named_and_knows_no_others() -> None:
    registry = HealthRegistry([Check("store", well), Check("cache", ill)], clock=FakeClock())
    assert set((await registry.check("store")).results) == {"store"}
    with pytest.raises(ValueError, match="'store' already"):
        registry.register(Check("store", well))
    registry.deregister("cache")
    assert registry.names == list((await registry.check()).results) == ["store"]
    for use in (registry.check("cache"), asyncio.to_thread(registry.deregister, "cache")):
        with pytest.raises(KeyError):
            await use


async def test_listeners_hear_when_a_check_finds_something_new() -> None:
    heard, probe = list[Event](), Flaky(1)
    registry = HealthRegistry([Check("store", probe)], clock=FakeClock(), listener=heard.append)
    for _ in range(4):
        await registry.check()
    assert [dict(event.attributes) for event in heard] == [
        {"from": "unknown", "to": "unhealthy"},
        {"from": "unhealthy", "to": "healthy"},
    ]
    assert {(event.name, event.source) for event in heard} == {("health.changed", "store")}


@pytest.mark.parametrize("wrong", [{"timeout": 0.0}, {"slow": -1.0}, {"retries": -1}, {"retry_wait": -1.0}])
def test_a_check_without_a_bound_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* must be|must be"):
        Check("store", well, **wrong)


async def _pass(clock: FakeClock, seconds: float) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    clock.advance(seconds)
    for _ in range(5):
        await asyncio.sleep(0)
