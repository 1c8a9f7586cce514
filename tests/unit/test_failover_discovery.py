"""Behaviour of discovery: a pool follows its source, and outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection

import pytest

from holdfast.backoff import constant
from holdfast.errors import Unavailable
from holdfast.events import Event
from holdfast.failover import Discovery, Endpoint, EndpointPool, polled, static
from holdfast.testing.clock import FakeClock


def endpoint(name: str) -> Endpoint:
    return Endpoint(name, "10.0.0.1", 80)


class Stage:
    """A source that the test feeds: snapshots, errors, or None for its end."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.pool = EndpointPool("x", clock=self.clock)
        self.feed: asyncio.Queue[Collection[Endpoint] | Exception | None] = asyncio.Queue()
        self.opened = self.closed = 0
        self.events: list[Event] = []
        self.discovery = Discovery(
            self.pool, self.source, name="fed", backoff=constant(5.0), listener=self.events.append
        )

    async def source(self) -> AsyncGenerator[Collection[Endpoint], None]:
        self.opened += 1
        try:
            while (item := await self.feed.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1

    async def gets(self, item: Collection[Endpoint] | Exception | None) -> list[str]:
        """Feed the source, and return who is in the pool after that."""
        self.feed.put_nowait(item)
        for _ in range(20):
            await asyncio.sleep(0)
        return [each.id for each in self.pool.list()]


async def test_the_pool_follows_each_snapshot() -> None:
    stage = Stage()
    async with stage.discovery:
        assert await stage.gets([endpoint("a"), endpoint("b")]) == ["a", "b"]
        assert await stage.gets([endpoint("b"), endpoint("c")]) == ["b", "c"]
        assert await stage.gets([]) == []


async def test_what_was_registered_by_hand_stays() -> None:
    stage = Stage()
    stage.pool.register(endpoint("mine"))
    async with stage.discovery:
        assert await stage.gets([endpoint("a")]) == ["mine", "a"]
        assert await stage.gets([]) == ["mine"]


async def test_while_the_source_fails_the_pool_keeps_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    stage, fault = Stage(), Unavailable("consul is down")
    async with stage.discovery:
        await stage.gets([endpoint("a")])
        assert not stage.discovery.failing
        assert await stage.gets(fault) == ["a"]
        for _ in range(3):
            stage.clock.advance(5.0)
            assert await stage.gets(fault) == ["a"]
        assert stage.discovery.failing
        stage.clock.advance(5.0)
        assert await stage.gets([endpoint("b")]) == ["b"]
        assert not stage.discovery.failing
    assert stage.opened == 5
    names = [event.name for event in stage.events]
    assert names == ["discovery.updated", "discovery.failed", "discovery.recovered", "discovery.updated"]
    assert len([record for record in caplog.records if "what is known stays" in record.message]) == 1


async def test_a_source_that_ends_has_said_its_last_word() -> None:
    stage = Stage()
    async with stage.discovery:
        await stage.gets([endpoint("a")])
        assert await stage.gets(None) == ["a"]
        assert stage.clock.waiting == 0
    assert (stage.opened, stage.closed) == (1, 1)
    assert [event.name for event in stage.events] == ["discovery.updated", "discovery.ended"]


async def test_a_snapshot_that_makes_no_sense_is_a_failure_of_the_source() -> None:
    stage = Stage()
    async with stage.discovery:
        await stage.gets([endpoint("a")])
        assert await stage.gets([None]) == ["a"]  # type: ignore[list-item]
    assert stage.events[-1].name == "discovery.failed"
    assert stage.events[-1].attributes["error.type"]


async def test_ready_waits_for_the_first_snapshot() -> None:
    stage = Stage()
    async with stage.discovery:
        waiting = asyncio.ensure_future(stage.discovery.ready())
        await stage.gets(Unavailable("not yet"))
        assert not waiting.done()
        stage.clock.advance(5.0)
        await stage.gets([])
        assert waiting.done()


async def test_stopped_it_closes_its_source_and_can_start_again() -> None:
    stage = Stage()
    stage.discovery.start()
    stage.discovery.start()
    await stage.gets([endpoint("a")])
    await stage.discovery.stop()
    await stage.discovery.stop()
    assert (stage.opened, stage.closed) == (1, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [each.id for each in stage.pool.list()] == ["a"]
    async with stage.discovery:
        assert await stage.gets([endpoint("b")]) == ["b"]


async def test_a_static_source_names_its_endpoints() -> None:
    pool = EndpointPool("x")
    async with Discovery(pool, static(endpoint("a"))) as discovery:
        await asyncio.wait_for(discovery.ready(), 60)
        assert [each.id for each in pool.list()] == ["a"]


async def test_a_polled_source_asks_at_its_interval() -> None:
    clock = FakeClock()
    pool = EndpointPool("x", clock=clock)
    answers = [[endpoint("a")], [endpoint("a"), endpoint("b")]]

    async def fetch() -> Collection[Endpoint]:
        return answers.pop(0)

    async with Discovery(pool, polled(fetch, 30.0, clock=clock)):
        await clock.until_waiting()
        assert [each.id for each in pool.list()] == ["a"]
        clock.advance(30.0)
        await clock.until_waiting()
        assert [each.id for each in pool.list()] == ["a", "b"]
    with pytest.raises(ValueError, match="interval must be more than 0"):
        polled(fetch, 0.0)
