"""Requests that wait: how many, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.routes.events import events
from api.waiting import Places, Waiting
from holdfast.errors import Unavailable
from holdfast.operations.model import Job, State
from tests.support.engine import operation


async def never() -> Any:
    await asyncio.Event().wait()


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def test_places_are_bounded_and_come_back() -> None:
    places = Places(2)
    assert [places.take(), places.take(), places.take()] == [True, True, False]
    places.give_back()
    assert places.take()


def test_a_place_that_is_left_serves_another_meanwhile() -> None:
    places = Places(1)
    assert places.take()
    with places.lent():
        assert places.take()
        assert not places.take()
    assert not places.take()
    places.give_back()
    places.give_back()
    assert places.taken == 0


async def test_work_that_ends_first_gives_its_answer() -> None:
    async def work() -> int:
        return 7

    assert await Waiting(1).for_(work(), never) == 7


async def test_an_error_of_the_work_is_the_callers() -> None:
    async def work() -> int:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await Waiting(1).for_(work(), never)


async def test_a_client_that_leaves_ends_the_wait_and_the_work() -> None:
    working = asyncio.ensure_future(never())
    assert await Waiting(1).for_(_wrapped(working), gone) is None
    assert working.cancelled()


async def test_the_end_of_the_process_ends_every_wait_and_begins_no_other() -> None:
    waiting = Waiting(5)
    waits = [asyncio.ensure_future(waiting.for_(never(), never)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.stop()
    assert await asyncio.gather(*waits) == [None, None, None]
    assert not waiting.take()


async def _wrapped(task: asyncio.Future[Any]) -> Any:
    return await task


def changes(*states: State, then: type[Exception] | None = None, hang: bool = False) -> AsyncIterator[Job]:
    async def stream() -> AsyncIterator[Job]:
        for state in states:
            yield Job(operation(), state)
        if then:
            raise then("away")
        if hang:
            await never()

    return stream()


async def lines(stream: AsyncIterator[bytes]) -> list[str]:
    return [line for piece in [part async for part in stream] for line in piece.decode().split("\n") if line]


async def test_a_stream_tells_when_to_reconnect_and_every_change_and_ends() -> None:
    told = await lines(events(changes(State.QUEUED, State.SUCCEEDED), asyncio.Event()))
    assert told[0] == "retry: 2000"
    assert [line for line in told if line.startswith("id:")] == ["id: queued-0", "id: succeeded-0"]
    assert told.count("event: job") == 2


async def test_a_stream_ends_quietly_when_the_ledger_goes_away() -> None:
    told = await lines(events(changes(State.QUEUED, then=Unavailable), asyncio.Event()))
    assert told[-1].startswith("data: ")


async def test_a_stream_without_news_is_kept_open_by_comments() -> None:
    stream = events(changes(State.QUEUED, hang=True), asyncio.Event(), heartbeat=0.001)
    pieces = [await anext(stream) for _ in range(4)]
    assert pieces[2:] == [b": nothing new\n\n"] * 2
    await stream.aclose()


async def test_the_end_of_the_process_ends_a_stream() -> None:
    stopping = asyncio.Event()
    stream = events(changes(State.QUEUED, hang=True), stopping)
    assert await anext(stream) == b"retry: 2000\n\n"
    assert b"queued" in await anext(stream)
    stopping.set()
    assert [piece async for piece in stream] == []
