"""What a policy costs, ours and those of other libraries: a guarded call over a bare one, sync and async, in one run.

    uv sync --all-extras --group rivals && .venv/bin/python -m bench.policies

All are measured in turn, round after round, so that what slows the machine slows all of them; of each the best
round counts. Trust the ratios. Libraries that are not installed, or that fail, are skipped with a line.
To compare another, add a function to bench/rivals.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter
from typing import Any

from .rivals import LIBRARIES, Rival

PATTERNS = (
    "breaker", "breaker, open", "retry", "timeout", "bulkhead", "rate limit", "fallback", "hedge", "others of ours",
)  # fmt: skip
ROUNDS = 300
CALLS = 100
# Calls before each round that are not counted: what ran before has left the caches full of itself.
WARM = 20
# Enough failures for every breaker to open.
FAILURES = 60


class Down(Exception):
    """What the guarded call raises while it is to fail."""


class Work:
    """The calls that are guarded: a function that does nothing, sync and async, and may be made to fail."""

    def __init__(self) -> None:
        self.down = False

    def functions(self) -> tuple[Callable[[], int], Callable[[], Any]]:
        def fails() -> int:
            if self.down:
                raise Down
            return 1

        async def fails_later() -> int:
            if self.down:
                raise Down
            return 1

        return fails, fails_later


def work() -> int:
    return 1


async def work_later() -> int:
    return 1


def refuse() -> None:
    raise Down


async def refuse_later() -> None:
    raise Down


@dataclass
class Subject:
    """One thing to measure; seconds per call, the best so far."""

    pattern: str
    name: str
    call: Callable[[], Any]
    later: bool
    best: float = float("inf")


async def subjects(rival: Rival) -> list[Subject]:
    """A rival's calls, ready and seen to do what they should."""
    made = list[Subject]()
    opened = rival.pattern == "breaker, open"
    if rival.sync is not None:
        state = Work()
        call = rival.sync()(state.functions()[0] if opened else work)
        if opened:
            open_it(call, state)
        elif call() != 1:
            raise AssertionError("wrong result")
        made.append(Subject(rival.pattern, rival.name, call, later=False))
    if rival.later is not None:
        state = Work()
        call = rival.later()(state.functions()[1] if opened else work_later)
        if opened:
            await open_it_later(call, state)
        elif await call() != 1:
            raise AssertionError("wrong result")
        made.append(Subject(rival.pattern, rival.name, call, later=True))
    return made


def open_it(call: Callable[[], Any], state: Work) -> None:
    state.down = True
    for _ in range(FAILURES):
        try:  # noqa: SIM105
            call()
        except Exception:  # noqa: BLE001 - by then it may be a refusal, of whatever type
            pass
    state.down = False
    try:
        call()
    except Exception:  # noqa: BLE001
        return
    raise AssertionError("it did not open")


async def open_it_later(call: Callable[[], Any], state: Work) -> None:
    state.down = True
    for _ in range(FAILURES):
        try:  # noqa: SIM105
            await call()
        except Exception:  # noqa: BLE001
            pass
    state.down = False
    try:
        await call()
    except Exception:  # noqa: BLE001
        return
    raise AssertionError("it did not open")


def timed(call: Callable[[], Any], *, refused: bool) -> float:
    """Seconds per call."""
    for count in (WARM, CALLS):
        calls = repeat(None, count)
        began = perf_counter()
        if refused:
            for _ in calls:
                try:  # noqa: SIM105 - suppress() costs as much as what is measured
                    call()
                except Exception:  # noqa: BLE001
                    pass
        else:
            for _ in calls:
                call()
    return (perf_counter() - began) / CALLS


async def timed_later(call: Callable[[], Any], *, refused: bool) -> float:
    """Seconds per call."""
    for count in (WARM, CALLS):
        calls = repeat(None, count)
        began = perf_counter()
        if refused:
            for _ in calls:
                try:  # noqa: SIM105
                    await call()
                except Exception:  # noqa: BLE001
                    pass
        else:
            for _ in calls:
                await call()
    return (perf_counter() - began) / CALLS


async def all_subjects() -> list[Subject]:
    found = [
        Subject("bare", "bare call", work, later=False),
        Subject("bare", "bare call", work_later, later=True),
        Subject("breaker, open", "raise and catch", refuse, later=False),
        Subject("breaker, open", "raise and catch", refuse_later, later=True),
    ]
    for library in LIBRARIES:
        try:
            for rival in library():
                found += await subjects(rival)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being measured
            print(f"skipped: {library.__name__}: {type(error).__name__}: {error}")
    return found


async def measure(found: list[Subject]) -> None:
    for _ in range(ROUNDS):
        for subject in found:
            refused = subject.pattern == "breaker, open"
            if subject.later:
                subject.best = min(subject.best, await timed_later(subject.call, refused=refused))
            else:
                subject.best = min(subject.best, timed(subject.call, refused=refused))


def tables(found: list[Subject]) -> Iterator[str]:
    bare = {subject.later: subject.best for subject in found if subject.pattern == "bare"}
    yield f"A bare call takes {bare[False] * 1e9:.0f} ns sync, {bare[True] * 1e9:.0f} ns async."
    for pattern in PATTERNS:
        yield f"\n| {pattern} | sync, ns | × bare | async, ns | × bare |\n| --- | --: | --: | --: | --: |"
        of_pattern = [subject for subject in found if subject.pattern == pattern]
        for name in dict.fromkeys(subject.name for subject in of_pattern):
            row = f"| {name} "
            for later in (False, True):
                best = next((each.best for each in of_pattern if each.name == name and each.later is later), None)
                row += "| – | – " if best is None else f"| {best * 1e9:,.0f} | {best / bare[later]:.1f} "
            yield row + "|"


async def main() -> None:
    # Some rivals warn about themselves, or log every refusal.
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    found = await all_subjects()
    await measure(found)
    print(f"Python {sys.version.split()[0]}, best of {ROUNDS} rounds of {CALLS:,} calls")
    for line in tables(found):
        print(line)


if __name__ == "__main__":
    asyncio.run(main())
