"""The checker against a simulated system: no false alarm when it is right, no miss when it has one flaw."""

from __future__ import annotations

import sys
from random import Random
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.checker import check
from chaos.history import Event
from tests.support.histories import Tale
from tests.support.simulation import FLAWS, Simulation

PATIENT = 1e9


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(10, 300), resolve=st.booleans())
def test_a_correct_system_is_never_blamed(seed: int, steps: int, resolve: bool) -> None:
    history = Simulation(Random(seed), resolve=resolve).run(steps)
    assert [str(one) for one in check(history, settle_within=PATIENT)] == []


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_that_clients_were_shown_is_never_missed(flaw: str) -> None:
    shown = 0
    for seed in range(400):
        simulation = Simulation(Random(seed), flaw)
        history = simulation.run(300)
        if simulation.flaw_shown:
            shown += 1
            assert check(history, settle_within=PATIENT), f"{flaw} passed, seed {seed}"
    assert shown > 20


def work(history: list[Event]) -> int:
    """Python calls that a check takes: a measure of its work that does not depend on the machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        assert check(history) == []
    finally:
        sys.setprofile(None)
    return calls


def long_history(rounds: int) -> list[Event]:
    """One record with many changes, reads, jobs, and deletes that nobody knows of."""
    tale, version = Tale(), 0
    for number in range(rounds):
        tale.write(f"r{number}", "replace", 201, tale.seen(version + 1, f"r{number}"))
        tale.hold(f"m{number}", "merge")
        tale.lose(tale.send(f"u{number}", "merge"))
        seen = tale.seen(version + 3, f"r{number}", f"m{number}", f"u{number}")
        tale.read(seen).job(f"m{number}", "succeeded", version=version + 2, status=200)
        tale.lose(tale.send(f"d{number}", "delete"))
        version += 4
    return tale.events


def test_the_work_grows_no_faster_than_the_history() -> None:
    small, large = work(long_history(250)), work(long_history(2000))
    assert large < 8 * small * 1.2
