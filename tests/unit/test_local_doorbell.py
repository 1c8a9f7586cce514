"""The doorbell within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from adapters.local_doorbell import LocalDoorbell
from holdfast.operations.model import Resource

A, B, C = (Resource("notes", name) for name in "abc")


class Replays:
    """Notes each replay, and holds it up until told."""

    def __init__(self) -> None:
        self.begun: list[list[Resource]] = []
        self.go_on = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def replay(self, resources: Sequence[Resource]) -> int:
        self.begun.append(list(resources))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.go_on.wait()
        self.at_once -= 1
        return len(resources)


async def test_an_offer_returns_at_once_and_is_replayed_soon() -> None:
    replays = Replays()
    bell = LocalDoorbell(replays.replay)
    bell.offer([A])
    await asyncio.sleep(0)
    assert replays.begun == [[A]]
    replays.go_on.set()
    await bell.close()


async def test_a_replay_that_meets_a_bug_is_told_of_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[Sequence[Resource]] = []

    async def buggy(resources: Sequence[Resource]) -> None:
        begun.append(resources)
        raise KeyError("a bug")

    bell = LocalDoorbell(buggy)
    await bell.ring([A])
    assert "a replay failed by a fault of its own" in caplog.text
    await bell.ring([B])
    assert begun == [[A], [B]]


async def test_what_comes_during_a_replay_goes_together_in_the_next() -> None:
    replays = Replays()
    bell = LocalDoorbell(replays.replay)
    bell.offer([A])
    await asyncio.sleep(0)
    bell.offer([B, C])
    bell.offer([B])
    replays.go_on.set()
    await bell.close()
    assert replays.begun == [[A], [B, C]]
    assert replays.most_at_once == 1


async def test_a_ring_returns_when_its_resources_were_replayed() -> None:
    replays = Replays()
    bell = LocalDoorbell(replays.replay)
    bell.offer([A])
    await asyncio.sleep(0)
    rung = asyncio.ensure_future(bell.ring([B]))
    await asyncio.sleep(0)
    assert not rung.done()
    replays.go_on.set()
    await rung
    assert replays.begun == [[A], [B]]


async def test_a_replay_that_fails_does_not_silence_the_bell() -> None:
    begun: list[list[Resource]] = []

    async def replay(resources: Sequence[Resource]) -> int:
        begun.append(list(resources))
        if len(begun) == 1:
            raise ValueError("bug")
        return 0

    bell = LocalDoorbell(replay)
    await bell.ring([A])
    await bell.ring([B])
    assert begun == [[A], [B]]
