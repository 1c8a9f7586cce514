"""The Celery doorbell on a real broker: what arrives there, and what a caller feels of a broker in trouble."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from adapters.celery_app import TASK, BrokerOptions, make_app, sending
from adapters.celery_doorbell import CeleryDoorbell, DoorbellOptions
from holdfast.errors import CircuitOpen, Rejected, Transient, Unavailable
from holdfast.events import Event
from holdfast.operations.model import Resource
from tests.support.polling import until_seen
from tests.support.processes import Server, wait_until
from tests.support.workers import eventually


def resources(count: int) -> list[Resource]:
    return [Resource("notes", str(number)) for number in range(count)]


class Ringing:
    """A doorbell, the events that it told, and a look into its queue.

    timeout, patience: long, so that only a frozen broker runs into them.
    """

    def __init__(self, url: str, *, timeout: float = 20.0, patience: float = 20.0, **options: Any) -> None:
        broker = BrokerOptions(url, timeout=timeout)
        chosen = DoorbellOptions(patience=patience, **options)
        self.events: Counter[str] = Counter()
        self.bell = CeleryDoorbell(make_app(broker), TASK, sending(broker), options=chosen, listener=self._listen)
        self._redis = redis.Redis.from_url(url)

    async def rings(self, count: int = 0) -> bool:
        """For so many resources, with success; raises as the bell does."""
        await self.bell.ring(resources(count))
        return True

    def messages(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [json.loads(message) for message in reversed(self._redis.lrange("holdfast", 0, -1))]

    def sent(self) -> list[list[str]]:
        """The keys of each message."""
        return [json.loads(base64.b64decode(message["body"]))[0][0] for message in self.messages()]

    def flush(self) -> None:
        self._redis.flushdb()

    def _listen(self, event: Event) -> None:
        if event.name.startswith("doorbell."):
            self.events[event.name] += int(event.attributes["keys"])


@asynccontextmanager
async def ringing(url: str, **options: Any) -> AsyncIterator[Ringing]:
    at = Ringing(url, **options)
    try:
        yield at
    finally:
        await at.bell.close()


async def answer(ring: Any) -> Exception | None:
    try:
        await ring
    except (Transient, Rejected) as error:
        return error
    return None


@pytest.fixture
def frozen(private_valkey: Server) -> Iterator[Server]:
    """A broker that a test may freeze; it is thawed at the end."""
    yield private_valkey
    private_valkey.thaw()


async def test_a_message_carries_resource_keys_and_nothing_of_an_operation(valkey_url: str) -> None:
    async with ringing(valkey_url) as at:
        await at.bell.ring([Resource("notes", "ä/1"), Resource("notes", "2")])
        (message,) = at.messages()
    assert at.sent() == [["notes/ä/1", "notes/2"]]
    assert message["headers"]["task"] == "holdfast.replay"
    assert (message["headers"]["eta"], message["headers"]["expires"]) == (None, None)


async def test_many_keys_travel_in_few_messages(valkey_url: str) -> None:
    async with ringing(valkey_url, keys=500) as at:
        await at.bell.ring(resources(1200))
    assert [len(keys) for keys in at.sent()] == [500, 500, 200]
    assert at.events["doorbell.rung"] == 1200


async def test_keys_offered_while_a_message_is_on_its_way_go_together_in_the_next(frozen: Server) -> None:
    async with ringing(frozen.url) as at:
        await at.bell.ring([Resource("notes", "first")])
        frozen.freeze()
        at.bell.offer([Resource("notes", "second")])
        await eventually(lambda: at.bell._keys == {}, "the second is on its way")
        for _ in range(100):
            at.bell.offer(resources(10))
        frozen.thaw()
        await eventually(lambda: at.events["doorbell.rung"] == 12, "all keys are sent, each once")
    assert sorted(map(len, at.sent())) == [1, 1, 10]


async def test_a_frozen_broker_delays_nobody_who_offers(frozen: Server) -> None:
    async with ringing(frozen.url, timeout=3.0) as at:
        await until_seen(lambda: at.rings(1), "its connection is made")
        frozen.freeze()
        waiting = asyncio.ensure_future(answer(at.bell.ring(resources(1))))
        await asyncio.sleep(0)
        await eventually(lambda: at.bell._keys == {}, "its keys are on their way")
        for _ in range(200):
            at.bell.offer(resources(3))
            await asyncio.sleep(0)
        assert not waiting.done(), "all are offered before the first is given up"
        assert await waiting is not None
        await eventually(lambda: at.events["doorbell.lost"] > 0, "what was offered is told to be lost")


async def test_a_ring_that_is_cancelled_as_its_answer_comes_is_cancelled(valkey_url: str) -> None:
    async with ringing(valkey_url) as at:
        ring = asyncio.ensure_future(at.rings(1))
        await asyncio.sleep(0)
        # These waits block the event loop, so that the answer is not heard yet; once the other is sent, it is there.
        wait_until(lambda: at.events["doorbell.rung"] == 1, "the first is sent")
        at.bell.offer([Resource("notes", "other")])
        wait_until(lambda: at.events["doorbell.rung"] == 2, "the other is sent")
        await asyncio.sleep(0)
        ring.cancel()
        await asyncio.wait([ring])
        assert ring.cancelled()


async def test_a_ring_that_gets_no_answer_says_so_within_its_patience(frozen: Server) -> None:
    async with ringing(frozen.url, patience=0.1) as at:
        await until_seen(at.rings, "its connection is made")
        frozen.freeze()
        async with asyncio.timeout(10):
            assert isinstance(await answer(at.bell.ring(resources(1))), Transient)


async def test_a_broker_that_is_down_is_told_of_at_once_and_found_again_when_it_is_back(
    private_valkey: Server,
) -> None:
    async with ringing(private_valkey.url) as at:
        await at.bell.ring(resources(1))
        private_valkey.kill()
        assert isinstance(await answer(at.bell.ring(resources(2))), Unavailable)
        assert at.events["doorbell.lost"] == 2
        while not isinstance(await answer(at.bell.ring(resources(2))), CircuitOpen):
            pass
        private_valkey.start()
        await until_seen(lambda: at.rings(3), "it is found again")
        assert at.sent()[-1] == ["notes/0", "notes/1", "notes/2"]


async def test_a_restart_of_the_broker_between_two_rings_is_not_noticed(private_valkey: Server) -> None:
    async with ringing(private_valkey.url) as at:
        await at.bell.ring(resources(1))
        private_valkey.kill()
        private_valkey.start()
        await at.bell.ring(resources(2))
    assert len(at.sent()) == 2


async def test_a_broker_that_was_emptied_takes_the_next_ring(valkey_url: str) -> None:
    async with ringing(valkey_url) as at:
        await at.bell.ring(resources(1))
        at.flush()
        await at.bell.ring(resources(2))
    assert [len(keys) for keys in at.sent()] == [2]


async def test_a_queue_that_nobody_empties_does_not_grow_for_ever(valkey_url: str) -> None:
    async with ringing(valkey_url, enough=5) as at:
        for _ in range(20):
            await at.bell.ring(resources(1))
    assert len(at.messages()) == 5


async def test_what_finds_no_room_is_lost_and_told(frozen: Server) -> None:
    async with ringing(frozen.url, capacity=10, patience=1.0) as at:
        await until_seen(lambda: at.rings(1), "its connection is made")
        frozen.freeze()
        at.bell.offer([Resource("notes", "taken")])
        await eventually(lambda: at.bell._keys == {}, "the first key is on its way")
        at.bell.offer(resources(25))
        assert at.events["doorbell.lost"] == 15
        assert isinstance(await answer(at.bell.ring([Resource("notes", "more")])), Unavailable)


async def test_closing_sends_what_waits(valkey_url: str) -> None:
    async with ringing(valkey_url) as at:
        at.bell.offer(resources(7))
    assert [len(keys) for keys in at.sent()] == [7]


async def test_closing_a_bell_of_a_frozen_broker_is_bounded(frozen: Server) -> None:
    async with ringing(frozen.url, patience=0.5) as at:
        await until_seen(at.rings, "its connection is made")
        frozen.freeze()
        at.bell.offer(resources(1))
        async with asyncio.timeout(10):
            await at.bell.close()


async def test_a_ping_asks_and_sends_nothing(valkey_url: str) -> None:
    async with ringing(valkey_url) as at:
        await at.bell.ping()
    assert at.messages() == []


async def test_a_ping_of_a_broker_that_is_down_fails(private_valkey: Server) -> None:
    private_valkey.kill()
    async with ringing(private_valkey.url) as at:
        assert isinstance(await answer(at.bell.ping()), Unavailable)
