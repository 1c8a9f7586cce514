"""The rate of each principal, and how little is remembered of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import rates as module
from api.problems import HttpProblem
from api.rates import Rates
from api.scopes import required_scope
from holdfast.testing.clock import FakeClock


def left(rates: Rates, who: str = "ann") -> bytes | None:
    """What RateLimit says, None where the request was refused."""
    try:
        return dict(rates.spend(who))[b"ratelimit"]
    except HttpProblem:
        return None


def test_all_of_a_period_may_come_at_once_and_one_more_comes_back_after_its_share_of_the_period() -> None:
    clock = FakeClock()
    rates = Rates(4, 2.0, clock)
    assert [left(rates) is not None for _ in range(5)] == [True] * 4 + [False]
    with pytest.raises(HttpProblem) as refused:
        rates.spend("ann")
    assert dict(refused.value.headers)[b"retry-after"] == b"1"
    clock.advance(0.5)
    assert left(rates) is not None
    assert left(rates) is None


def test_a_refused_request_spends_nothing() -> None:
    clock = FakeClock()
    rates = Rates(1, 1.0, clock)
    assert [left(rates) is not None for _ in range(100)] == [True] + [False] * 99
    clock.advance(1.0)
    assert left(rates) is not None


@given(st.lists(st.floats(0, 3), max_size=50), st.integers(1, 10))
def test_what_is_said_to_be_left_is_left(gaps: list[float], limit: int) -> None:
    clock = FakeClock()
    rates = Rates(limit, 1.0, clock)
    for gap in gaps:
        clock.advance(gap)
        said = left(rates)
    said = left(rates)
    remaining = 0 if said is None else int(said.partition(b"r=")[2].partition(b";")[0])
    assert [left(rates) is not None for _ in range(remaining + 1)] == [True] * remaining + [False]


def test_who_has_rested_is_forgotten_when_many_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 100)
    clock = FakeClock()
    rates = Rates(10, 1.0, clock)
    for number in range(1000):
        rates.spend(f"principal {number}")
        clock.advance(0.1)
    assert len(rates._arrivals) <= 100


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/1/retry"),
        ("POST", "/v1/jobs/1/retry"),
        ("POST", "/v1/jobs/1"),
        ("GET", "//livez"),
        ("GET", "/docs/x"),
        ("GET", "/admin/breakers"),
        ("GET", "/anything/new"),
        ("BREW", "/v1/jobs"),
    ],
)
def test_what_nobody_has_named_is_for_operators(method: str, path: str) -> None:
    assert required_scope(method, path) == "admin"
