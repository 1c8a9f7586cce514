"""Group commit: what shares a batch, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.operations.batch import Batcher, BatchOptions


class Runs:
    """Batches as they leave, one at a time; each is answered once it is let go. Items are their own weights."""

    def __init__(self, weight: int, *, size: int = 256) -> None:
        self.batches: list[list[int]] = []
        self._go = asyncio.Semaphore(0)
        options = BatchOptions(size=size, in_flight=1, weight=weight)
        self.batcher: Batcher[int, int] = Batcher(self._run, options, weigh=lambda item: item)

    async def _run(self, items: list[int]) -> Sequence[int]:
        self.batches.append(items)
        await self._go.acquire()
        return items

    async def submit_behind_another(self, *items: int) -> list[asyncio.Task[int]]:
        """All of them wait while a batch is on its way."""
        waiting = []
        for item in (0, *items):
            waiting.append(asyncio.create_task(self.batcher.submit(item)))
            await asyncio.sleep(0)
        assert self.batches == [[0]]
        return waiting

    async def let_go(self) -> list[list[int]]:
        """What followed the first."""
        for _ in range(100):
            self._go.release()
        await self.batcher.join()
        return self.batches[1:]


@pytest.mark.parametrize(
    ("items", "batches"),
    [
        ([3, 4, 3], [[3, 4, 3]]),
        ([3, 4, 4], [[3, 4], [4]]),
        ([3, 20, 3, 3], [[3], [20], [3, 3]]),
        ([20, 20], [[20], [20]]),
        ([10, 0, 0, 1], [[10, 0, 0], [1]]),
        ([1, 1, 1, 1, 1, 1], [[1, 1, 1, 1], [1, 1]]),
    ],
)
async def test_a_batch_is_bounded_in_weight_and_in_items_and_nothing_is_left_behind(
    items: list[int], batches: list[list[int]]
) -> None:
    runs = Runs(10, size=4)
    waiting = await runs.submit_behind_another(*items)
    assert await runs.let_go() == batches
    assert await asyncio.gather(*waiting) == [0, *items]


async def test_an_item_whose_caller_has_left_weighs_nothing() -> None:
    runs = Runs(10)
    waiting = await runs.submit_behind_another(5, 9, 5)
    waiting[2].cancel()
    assert await runs.let_go() == [[5, 5]]


async def test_items_without_a_weight_are_bounded_by_their_number() -> None:
    batches: list[int] = []

    async def run(items: list[str]) -> Sequence[str]:
        batches.append(len(items))
        return items

    batcher: Batcher[str, str] = Batcher(run, BatchOptions(size=50, weight=1))
    await asyncio.gather(*(batcher.submit("x" * 1000) for _ in range(100)))
    assert batches == [50, 50]


def test_a_weight_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="weight"):
        BatchOptions(weight=0)
