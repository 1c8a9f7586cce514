"""Behaviour of injected trouble."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.chaos import Chaos
from holdfast.errors import Unavailable
from holdfast.events import Event
from holdfast.testing.clock import FakeClock


def outcomes(chaos: Chaos, calls: int) -> list[str]:
    seen = list[str]()
    for _ in range(calls):
        try:
            seen.append(chaos.call(lambda: "called"))
        except Unavailable:
            seen.append("failed")
    return seen


def test_nothing_happens_until_it_is_enabled() -> None:
    chaos = Chaos(fault_rate=1.0, outcome=lambda: "other", outcome_rate=1.0)
    assert outcomes(chaos, 100) == ["called"] * 100
    chaos.enabled = True
    assert outcomes(chaos, 100) == ["failed"] * 100
    chaos.enabled = False
    assert outcomes(chaos, 100) == ["called"] * 100


def test_the_rates_are_kept_and_a_seed_repeats_the_choices() -> None:
    def chaos(seed: int) -> Chaos:
        return Chaos(enabled=True, fault_rate=0.2, outcome=lambda: "other", outcome_rate=0.5, seed=seed)

    seen = outcomes(chaos(7), 10_000)
    assert 1_800 < seen.count("failed") < 2_200
    assert 3_700 < seen.count("other") < 4_300  # half of what did not fail
    assert outcomes(chaos(7), 10_000) == seen
    assert outcomes(chaos(8), 10_000) != seen


def test_changing_one_rate_moves_no_other_choice() -> None:
    some = outcomes(Chaos(enabled=True, fault_rate=0.2, seed=7), 1_000)
    more = outcomes(Chaos(enabled=True, fault_rate=0.4, latency=0.0, latency_rate=0.5, seed=7), 1_000)
    assert all(late == "failed" for early, late in zip(some, more, strict=True) if early == "failed")


async def test_latency_comes_before_the_call() -> None:
    clock, called = FakeClock(monotonic=0.0), list[float]()
    chaos = Chaos(enabled=True, latency=2.0, latency_rate=1.0, clock=clock)
    chaos.call(lambda: called.append(clock.monotonic()))

    async def later() -> None:
        called.append(clock.monotonic())

    task = asyncio.create_task(chaos.acall(later))
    await clock.until_waiting()
    clock.advance(2.0)
    await task
    assert called == [2.0, 4.0]


async def test_the_fault_and_the_outcome_are_made_anew_for_each_call() -> None:
    chaos = Chaos(enabled=True, fault=lambda: KeyError("mine"), fault_rate=1.0)
    errors = list[KeyError]()
    for _ in range(2):
        with pytest.raises(KeyError, match="mine") as caught:
            await chaos.acall(asyncio.sleep, 0)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    other = Chaos(enabled=True, outcome=list, outcome_rate=1.0)
    assert await other.acall(asyncio.sleep, 0) == other.call(int) == []


def test_listeners_hear_of_every_injection() -> None:
    heard = list[Event]()
    chaos = Chaos(
        name="store", enabled=True, latency=0.0, latency_rate=1.0, fault_rate=1.0, outcome=int, outcome_rate=1.0,
        listener=heard.append,
    )  # fmt: skip
    with pytest.raises(Unavailable):
        chaos.call(int)
    assert [dict(event.attributes) for event in heard] == [{"kind": "latency"}, {"kind": "fault"}]
    assert {(event.name, event.source) for event in heard} == {("chaos.injected", "store")}


@pytest.mark.parametrize(
    "options", [{"fault_rate": 1.5}, {"latency_rate": -0.1}, {"latency": -1.0}, {"outcome_rate": 0.5}]
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options)).replace("_rate", "")):
        Chaos(**options)
