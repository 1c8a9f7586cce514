"""What a policy costs, ours and those of other libraries: a guarded call over a bare one, sync and async, in one run.

    uv sync --all-extras --group rivals && .venv/bin/python -m bench.policies

All are measured in turn, round after round, so that what slows the machine slows all of them; of each the best
round counts. Trust the ratios. Libraries that are not installed, or that fail, are skipped with a line.
To compare another, add a function to bench/rivals.py.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import isawaitable
from itertools import repeat
from time import perf_counter
from typing import Any

from .rivals import LIBRARIES, Guard, Rival

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
    """One thing to measure. refusal: what every call of it raises. best: seconds per call, the best so far."""

    pattern: str
    name: str
    call: Callable[[], Any]
    later: bool
    refusal: type[Exception] | None = None
    best: float = float("inf")


async def subject(rival: Rival, guard: Guard, *, later: bool) -> Subject:
    """One of a rival's calls, ready and seen to do what it should."""
    if rival.pattern == "breaker, open":
        state = Work()
        call = guard(state.functions()[later])
        return Subject(rival.pattern, rival.name, call, later, await opened(call, state))
    call = guard(work_later if later else work)
    seen = await outcome(call)
    assert seen == 1, f"wrong result: {seen!r}"
    return Subject(rival.pattern, rival.name, call, later)


async def opened(call: Callable[[], Any], state: Work) -> type[Exception]:
    """Let it fail until it is open; what it refuses with then."""
    state.down = True
    for _ in range(FAILURES):
        await outcome(call)
    state.down = False
    refusal = await outcome(call)
    assert isinstance(refusal, Exception), "it did not open"
    return type(refusal)


async def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or what it raises: the refusals of all libraries have no other class in common."""
    try:
        result = call()
        return await result if isawaitable(result) else result
    except Exception as error:  # noqa: BLE001
        return error


def timed(subject: Subject) -> float:
    """Seconds per call."""
    call, refusal = subject.call, subject.refusal
    for count in (WARM, CALLS):
        calls = repeat(None, count)
        began = perf_counter()
        if refusal is not None:
            for _ in calls:
                try:  # noqa: SIM105 - suppress() costs as much as what is measured
                    call()
                except refusal:
                    pass
        else:
            for _ in calls:
                call()
    return (perf_counter() - began) / CALLS


async def timed_later(subject: Subject) -> float:
    """Seconds per call."""
    call, refusal = subject.call, subject.refusal
    for count in (WARM, CALLS):
        calls = repeat(None, count)
        began = perf_counter()
        if refusal is not None:
            for _ in calls:
                try:  # noqa: SIM105
                    await call()
                except refusal:
                    pass
        else:
            for _ in calls:
                await call()
    return (perf_counter() - began) / CALLS


async def all_subjects() -> list[Subject]:
    found = [
        Subject("bare", "bare call", work, later=False),
        Subject("bare", "bare call", work_later, later=True),
        Subject("breaker, open", "raise and catch", refuse, later=False, refusal=Down),
        Subject("breaker, open", "raise and catch", refuse_later, later=True, refusal=Down),
    ]
    for library in LIBRARIES:
        try:
            for rival in library():
                if rival.sync is not None:
                    found.append(await subject(rival, rival.sync(), later=False))
                if rival.later is not None:
                    found.append(await subject(rival, rival.later(), later=True))
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being measured
            print(f"skipped: {library.__name__}: {type(error).__name__}: {error}")
    return found


async def measure(found: list[Subject]) -> None:
    for _ in range(ROUNDS):
        for subject in found:
            took = await timed_later(subject) if subject.later else timed(subject)
            subject.best = min(subject.best, took)


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
    argparse.ArgumentParser(description=__doc__).parse_args()
    asyncio.run(main())
