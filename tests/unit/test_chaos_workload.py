"""The workload's clients do what makes trouble: some leave before their answer and come back with the same key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from chaos.history import History, Invoke, Lost
from chaos.workload import Load, Workload
from tests.support.polling import WAIT
from tests.support.streams import listening

# More than the patience of those that have hardly any, and much less than that of the others.
_SECONDS_TO_ANSWER = 0.05
_ENOUGH = 1500


class Request(NamedTuple):
    line: str
    key: str | None
    body: bytes


class SlowServer:
    """Takes its time. asked: all requests in their order. left: those whose client did not wait for the answer."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.left: list[tuple[int, Request]] = []
        self.enough = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        number = len(self.asked)
        self.asked.append(request)
        if number >= _ENOUGH:
            self.enough.set()
        if await _leaves(reader):
            self.left.append((number, request))
            return False
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True


async def _read(reader: asyncio.StreamReader) -> Request:
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(line, headers.get("idempotency-key"), body)


async def _leaves(reader: asyncio.StreamReader) -> bool:
    """Whether the client does so before it is answered: it has nothing else to say until then."""
    try:
        async with asyncio.timeout(_SECONDS_TO_ANSWER):
            return not await reader.read(1)
    except TimeoutError:
        return False


@contextlib.asynccontextmanager
async def slow_server() -> AsyncIterator[tuple[str, SlowServer]]:
    slow = SlowServer()
    async with listening(slow.meet) as port:
        yield f"http://127.0.0.1:{port}", slow


Seen = tuple[SlowServer, History]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return asyncio.run(_run())


async def _run() -> Seen:
    """What a server and its clients saw of each other; most of these are patient enough for any server."""
    history = History()
    async with slow_server() as (url, slow):
        workload = Workload([url], Load(seed=7, clients=64, rate=2000.0, timeout=WAIT), history)
        async with asyncio.timeout(WAIT):
            await workload.run(slow.enough)
    return slow, history


def test_some_clients_have_hardly_any_patience_and_leave_before_their_answer(seen: Seen) -> None:
    slow, history = seen
    lost = {event.request for event in history.events if isinstance(event, Lost) and event.sent}
    assert 5 < len(lost) < _ENOUGH / 10
    assert len(slow.left) > 5
    assert all(request.key is not None for _, request in slow.left), "without a key nobody could come back"


def test_who_left_comes_back_with_the_same_key_for_the_same_change(seen: Seen) -> None:
    slow, history = seen
    back = [(request, _later(slow, number, request)) for number, request in slow.left]
    again = [(request, repeats) for request, repeats in back if repeats]
    assert len(again) > len(back) / 2
    assert all(repeat == request for request, repeats in again for repeat in repeats)
    lost = {event.request for event in history.events if isinstance(event, Lost)}
    asked = [event for event in history.events if isinstance(event, Invoke)]
    tags = [event.tag for event in asked if event.request in lost]
    assert sum(event.tag in tags for event in asked) > len(tags), "and both are written down as one change"


def _later(slow: SlowServer, number: int, request: Request) -> list[Request]:
    """Repeats: of the key by its own client, and of no other change that tries whether it is refused under it."""
    return [each for each in slow.asked[number + 1 :] if each.key == request.key and each.body == request.body]
