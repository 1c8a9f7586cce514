"""How many users there are, and whether the store is there, at each moment of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Phase(NamedTuple):
    """seconds: how long it is. The users go from the one number to the other evenly."""

    name: str
    seconds: float
    users_from: int
    users_to: int
    store_down: bool = False


class Shape(NamedTuple):
    """seconds: of a run, where nobody says otherwise. phases: for so many users at most, and so many seconds."""

    text: str
    seconds: float
    phases: Callable[[int, float], list[Phase]]


def shapes() -> dict[str, Shape]:
    return {
        "steady": Shape("the same load all the time", 60, _steady),
        "ramp": Shape("more and more load, up to all users", 90, _ramp),
        "spike": Shape("little load, then all users at once, then little again", 60, _spike),
        "soak": Shape("the same load for long", 1800, _steady),
        "outage": Shape("the store is killed in the middle, and started again", 90, _outage),
    }


def phase_at(phases: Sequence[Phase], at: float) -> tuple[Phase, float] | None:
    """The phase at that second of the run and the second of the phase; None when all are over."""
    for phase in phases:
        if at < phase.seconds:
            return phase, at
        at -= phase.seconds
    return None


def users_at(phases: Sequence[Phase], at: float) -> int | None:
    """At least one, None when all phases are over."""
    found = phase_at(phases, at)
    if found is None:
        return None
    phase, second = found
    return max(1, round(phase.users_from + (phase.users_to - phase.users_from) * second / phase.seconds))


def _steady(users: int, seconds: float) -> list[Phase]:
    return [Phase("warm-up", seconds * 0.1, 0, users), Phase("steady", seconds * 0.9, users, users)]


def _ramp(users: int, seconds: float) -> list[Phase]:
    return [Phase("ramp", seconds * 0.8, 0, users), Phase("top", seconds * 0.2, users, users)]


def _spike(users: int, seconds: float) -> list[Phase]:
    few = max(1, users // 10)
    return [
        Phase("before", seconds * 0.3, few, few),
        Phase("spike", seconds * 0.3, users, users),
        Phase("after", seconds * 0.4, few, few),
    ]


def _outage(users: int, seconds: float) -> list[Phase]:
    return [
        Phase("warm-up", seconds * 0.1, 0, users),
        Phase("healthy", seconds * 0.2, users, users),
        Phase("outage", seconds * 0.25, users, users, store_down=True),
        Phase("after", seconds * 0.45, users, users),
    ]
