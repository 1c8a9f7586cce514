"""Batches of one process on the same records take turns."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.operations.model import Resource
from holdfast.operations.turns import Turns


class Line:
    """Callers of one `Turns`, each named; notes who begins and who ends."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.events: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._callers: dict[str, asyncio.Task[None]] = {}

    async def join(self, name: str, *records: str) -> None:
        self._ends[name] = asyncio.Event()
        self._callers[name] = asyncio.create_task(
            self._call(name, frozenset(Resource("notes", one) for one in records))
        )
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    async def cancel(self, name: str) -> None:
        self._callers[name].cancel()
        await settled()

    async def _call(self, name: str, resources: frozenset[Resource]) -> None:
        async with self.turns.take(resources):
            self.events.append(name)
            await self._ends[name].wait()


async def settled() -> None:
    """Return when everyone has gone as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def line() -> Line:
    return Line()


async def test_those_who_share_nothing_do_not_wait(line: Line) -> None:
    await line.join("one", "a", "b")
    await line.join("two", "c")
    assert line.events == ["one", "two"]


async def test_who_shares_a_record_waits_for_its_turn(line: Line) -> None:
    await line.join("one", "a", "b")
    await line.join("two", "b", "c")
    assert line.events == ["one"]
    await line.end("one")
    assert line.events == ["one", "two"]


async def test_nobody_is_overtaken_by_who_comes_later(line: Line) -> None:
    await line.join("one", "a")
    await line.join("both", "a", "b")
    await line.join("late", "b")
    assert line.events == ["one"]
    await line.end("one")
    assert line.events == ["one", "both"]
    await line.end("both")
    assert line.events == ["one", "both", "late"]


async def test_who_comes_back_at_once_stands_behind_those_who_wait(line: Line) -> None:
    served: list[str] = []

    async def keep_coming(name: str) -> None:
        for _ in range(3):
            async with line.turns.take(frozenset({Resource("notes", "a")})):
                served.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(keep_coming("x"), keep_coming("y"), keep_coming("z"))
    assert served == ["x", "y", "z"] * 3


async def test_one_that_is_cancelled_in_line_lets_the_next_wait_for_those_before_it(line: Line) -> None:
    await line.join("one", "a")
    await line.join("two", "a", "b")
    await line.join("three", "b", "a")
    await line.cancel("two")
    assert line.events == ["one"]
    await line.end("one")
    assert line.events == ["one", "three"]


async def test_one_that_is_cancelled_at_work_makes_room(line: Line) -> None:
    await line.join("one", "a")
    await line.join("two", "a")
    await line.cancel("one")
    assert line.events == ["one", "two"]


async def test_nothing_is_kept_of_those_who_are_gone(line: Line) -> None:
    for name in ("one", "two", "three"):
        await line.join(name, "a", name)
    await line.cancel("two")
    await line.end("one")
    await line.end("three")
    assert line.turns._last == {}
