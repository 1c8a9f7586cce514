"""Random scenarios from a seed, for as long as somebody wants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

from .errors import Impossible
from .scenario import Scenario, Step, there
from .toxiproxy import find

_DURATION = 30.0
# Fault, targets, options, and how long it lasts at most; 0 for what happens once.
_FAULTS: tuple[tuple[str, tuple[str, ...], dict[str, Any], float], ...] = (
    ("kill", ("api", "worker", "sweeper", "store", "ledger", "cache"), {}, 8),
    ("stop", ("api", "worker", "sweeper", "store"), {}, 4),
    ("freeze", ("api", "worker", "sweeper", "store", "ledger", "cache"), {}, 8),
    ("kill-parent", ("api", "worker", "sweeper", "store", "ledger"), {}, 0),
    ("freeze-parent", ("worker", "store"), {}, 8),
    ("kill-child", ("worker", "store"), {}, 0),
    ("freeze-child", ("worker", "store"), {}, 8),
    ("terminate", ("postgres",), {}, 0),
    ("read-only", ("postgres",), {}, 8),
    ("exhaust", ("postgres",), {}, 8),
    ("lock", ("postgres",), {}, 8),
    ("disconnect", ("ledger", "cache"), {}, 0),
    ("fill", ("ledger", "cache"), {}, 8),
    ("empty", ("cache", "broker"), {}, 0),
    ("drop-messages", ("broker",), {}, 8),
    ("double-messages", ("broker",), {}, 8),
    ("clock", ("api", "worker", "sweeper"), {"seconds": 3600}, 8),
    ("clock", ("api", "worker", "sweeper"), {"seconds": -3600}, 8),
)
_LINKS = ("api-store", "api-ledger", "api-cache", "worker-store", "worker-ledger", "worker-broker", "client-api")
_NETWORK: tuple[tuple[str, tuple[str, ...], dict[str, Any], float], ...] = tuple(
    (fault, (*_LINKS, "store", "ledger", "broker"), {}, 8)
    for fault in ("latency", "blackhole", "half-open", "reset", "slow-close", "down")
)


def rounds(seed: int, store: str) -> Iterator[Scenario]:
    """Without end; those of a seed and a store are always the same, but for what needs a proxy where there is none."""
    every = _FAULTS + (_NETWORK if _has_proxy() else ())
    faults = tuple(each for each in every if all(there(target, store) for target in each[1]))
    for number in count(1):
        random = Random(f"{seed}/{number}")
        steps = _apart(sorted((_step(random, faults) for _ in range(random.randint(2, 6))), key=lambda step: step.at))
        text = "; ".join(f"{step} at {step.at:.0f} s for {step.lasts:.0f} s" for step in steps)
        yield Scenario(f"round-{number}", text, _DURATION, steps, allow=("superseded",))


def _step(random: Random, faults: tuple[tuple[str, tuple[str, ...], dict[str, Any], float], ...]) -> Step:
    fault, targets, options, longest = random.choice(faults)
    lasts = random.uniform(0.5, longest) if longest else 0.0
    return Step(fault, random.choice(targets), at=random.uniform(1, _DURATION - 12), lasts=lasts, options=options)


def _apart(steps: list[Step]) -> list[Step]:
    """Without those that would meet another fault of the same target: a process killed while it is frozen."""
    found: list[Step] = []
    for step in steps:
        if not any(_meets(step, other) for other in found):
            found.append(step)
    return found


def _meets(step: Step, other: Step) -> bool:
    return _part(step) == _part(other) and step.at < other.at + other.lasts + 5


def _part(step: Step) -> str:
    """The broker is a database of the ledger's server, and PostgreSQL the store."""
    return {"broker": "ledger", "postgres": "store"}.get(step.target, step.target)


def _has_proxy() -> bool:
    try:
        find()
    except Impossible:
        return False
    return True
