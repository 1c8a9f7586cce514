"""Behaviour of waits between attempts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backoff import Backoff, Curve, Jitter, constant, exponential, linear

CURVES: list[Curve] = ["constant", "linear", "exponential"]
JITTERS: list[Jitter] = ["none", "full", "equal", "decorrelated"]


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        (constant(2.0), [2.0, 2.0, 2.0, 2.0]),
        (linear(2.0, 5.0, jitter="none"), [2.0, 4.0, 5.0, 5.0]),
        (exponential(0.5, 3.0, jitter="none"), [0.5, 1.0, 2.0, 3.0]),
        (exponential(1.0, 20.0, factor=3.0, jitter="none"), [1.0, 3.0, 9.0, 20.0]),
    ],
)
def test_waits_follow_their_curve_up_to_the_cap(backoff: Backoff, waits: list[float]) -> None:
    assert [backoff.delay(attempt) for attempt in (1, 2, 3, 4)] == waits


@pytest.mark.parametrize("attempt", [1_000, 10**6, 10**400], ids=["1e3", "1e6", "1e400"])
@pytest.mark.parametrize("curve", CURVES)
def test_an_outage_of_any_length_overflows_nothing(curve: Curve, attempt: int) -> None:
    assert Backoff(1.0, 60.0, curve, jitter="none").delay(attempt) == (1.0 if curve == "constant" else 60.0)


@pytest.mark.parametrize(
    ("jitter", "lowest", "middle"),
    [("full", 0.0, 4.0), ("equal", 4.0, 6.0), ("decorrelated", 1.0, None), ("none", 8.0, 8.0)],
)
def test_jitter_spreads_callers_who_failed_together(jitter: Jitter, lowest: float, middle: float | None) -> None:
    backoff = Backoff(1.0, 8.0, jitter=jitter, rng=random.Random(7).random)
    waits = [backoff.delay(4) for _ in range(4_000)]
    assert lowest <= min(waits) <= max(waits) <= 8.0
    assert min(waits) < lowest + 0.1
    if middle is not None:
        assert sum(waits) / len(waits) == pytest.approx(middle, rel=0.03)


def test_decorrelated_waits_grow_with_the_attempts() -> None:
    backoff = Backoff(0.1, 100.0, jitter="decorrelated", rng=random.Random(7).random)
    means = [sum(backoff.delay(attempt) for _ in range(2_000)) / 2_000 for attempt in (1, 3, 6, 12)]
    assert means == sorted(means)
    assert means[-1] > 5 * means[0]


@given(
    base=st.floats(0.001, 10),
    times=st.floats(1, 1_000),
    curve=st.sampled_from(CURVES),
    jitter=st.sampled_from(JITTERS),
    attempt=st.integers(1, 100_000),
    seed=st.integers(),
)
def test_no_wait_is_negative_or_longer_than_the_cap(
    base: float, times: float, curve: Curve, jitter: Jitter, attempt: int, seed: int
) -> None:
    backoff = Backoff(base, base * times, curve, jitter=jitter, rng=random.Random(seed).random)
    assert 0 <= backoff.delay(attempt) <= backoff.cap


@pytest.mark.parametrize(
    "options",
    [
        {"base": 0.0},
        {"base": -1.0},
        {"base": math.nan},
        {"base": 2.0, "cap": 1.0},
        {"cap": math.inf},
        {"factor": 1.0},
        {"curve": "cubic"},
        {"jitter": "some"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Backoff(**options)  # type: ignore[arg-type]


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        Backoff().delay(0)
