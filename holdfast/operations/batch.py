"""Group commit: callers of the same moment share one round trip.

A batch is what arrived while the batches before it were in flight. There is no timer: a lone caller waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import Overloaded

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How much goes into a batch, and how many batches there are.

    size:      most items of a batch.
    in_flight: batches that are under way at the same time.
    queue:     items that may wait; more are refused.
    weight:    most that the items of a batch weigh together, in the unit of the batcher's `weigh`; a heavier item goes
               alone.
    """

    size: int = 256
    in_flight: int = 3
    queue: int = 2048
    weight: int = 4_194_304

    def __post_init__(self) -> None:
        if min(self.size, self.in_flight, self.queue, self.weight) < 1:
            raise ValueError(f"size, in_flight, queue and weight must be at least 1, got {self}")


class Batcher(Generic[T, R]):
    """Runs single items through `run`, a call that takes a list and answers each item in order.

    weigh: the weight of an item; without it, items have none.

    An answer that is an exception is raised to its own caller alone. The item of a cancelled caller is left out if it
    still waits; once its batch has left it is done with the others, and nobody takes the answer.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]],
        options: BatchOptions | None = None,
        *,
        weigh: Callable[[T], int] | None = None,
    ) -> None:
        self._run = run
        self._weigh = weigh or _weightless
        self._options = options or BatchOptions()
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._about_to_leave = False

    async def submit(self, item: T) -> R:
        """The answer to `item`. Raises Overloaded at once when the queue is full."""
        if len(self._queue) >= self._options.queue:
            raise Overloaded(f"{len(self._queue)} calls are waiting already", retry_after=1.0)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        if not self._about_to_leave and len(self._lanes) < self._options.in_flight:
            self._about_to_leave = True
            # Its own context: a lane serves others too, and must not keep the deadline of the caller that began it.
            lane = asyncio.create_task(self._lane(), context=Context())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await future

    async def join(self) -> None:
        """Return when nothing is waiting or in flight."""
        while self._lanes:
            await asyncio.wait(self._lanes)

    async def _lane(self) -> None:
        self._about_to_leave = False
        while batch := self._take():
            await self._send(batch)

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        room = self._options.weight
        while self._queue and len(batch) < self._options.size:
            item, future = self._queue[0]
            if not future.done():
                room -= self._weigh(item)
                if room < 0 and batch:
                    break
                batch.append((item, future))
            self._queue.popleft()
        return batch

    async def _send(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers: Sequence[R | BaseException] = await self._run([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed to every caller
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _weightless(_item: object) -> int:
    return 0
