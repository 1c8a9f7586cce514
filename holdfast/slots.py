"""So many at the same time, and a queue for the others: what a bulkhead and an adaptive limit have in common.

A free slot is an entry of a deque, which takes and gives one in a single step under any number of threads:
as long as nobody waits, no lock is needed. Whoever finds none joins the queue under the lock, and looks again;
whoever gives one back looks into the queue afterwards: one of the two sees the other.

The queue knows nothing of threads or event loops: a waiting call leaves word how to wake it, and so calls
of both kinds share it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias

from .deadline import remaining, remaining_unless_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock

# What came of asking for a slot: `late` is without one after the longest wait, `full` without having waited.
Admission: TypeAlias = Literal["granted", "late", "full"]


class _Turn:
    """A place in the queue.

    granted: whether it has a slot by now; None when nobody was there to take it.
    """

    __slots__ = ("granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted: bool | None = False


class Slots:
    """`limit` slots, handed out in the order of asking. The limit may change at any time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._free = deque[None]()
        self._made = 0
        self._turns = deque[_Turn]()

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        """A lower one takes no slot away from who has it; a higher one lets the first in the queue go on."""
        self._limit = limit
        self._settle()

    @property
    def taken(self) -> int:
        return self._made - len(self._free)

    @property
    def waiting(self) -> int:
        return len(self._turns)

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if not self._turns:
            try:
                self._free.pop()
            except IndexError:
                return self._made < self._limit and self._make()
            return True
        return False

    def leave(self) -> None:
        """Give a slot back: it goes straight to whoever waits longest."""
        self._free.append(None)
        if self._turns or self._made > self._limit:
            self._settle()

    def wait(self, queue: float, max_wait: float, clock: Clock) -> Admission:
        """Block until there is a slot, for at most `max_wait` seconds; `full` at once where `queue` callers wait."""
        if len(self._turns) >= queue:
            return "full"
        woken = threading.Event()
        turn = self._join(woken.set, queue)
        if turn is None:
            return "full"
        try:
            longest = min(max_wait, remaining(clock))
            woken.wait(min(longest, threading.TIMEOUT_MAX))
        except BaseException:
            self._give_up(turn)
            raise
        return "granted" if self._granted(turn) else "late"

    async def join(self, queue: float, max_wait: float, clock: Clock) -> Admission:
        """As `wait`, for a task."""
        if len(self._turns) >= queue:
            return "full"
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        turn = self._join(lambda: _tell_from_anywhere(loop, woken), queue)
        if turn is None:
            return "full"
        longest = min(max_wait, remaining_unless_cancelled(clock))
        timer = None if longest == float("inf") else clock.call_later(longest, lambda: _tell(woken))
        try:
            await woken
        except BaseException:
            self._give_up(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return "granted" if self._granted(turn) else "late"

    def _make(self) -> bool:
        with self._lock:
            if self._made >= self._limit or self._turns:
                return False
            self._made += 1
        return True

    def _join(self, wake: Callable[[], object], queue: float) -> _Turn | None:
        turn = _Turn(wake)
        with self._lock:
            self._turns.append(turn)
            granted = self._grant()
            full = len(self._turns) > queue
            if full:
                self._turns.pop()
        if self._wake(granted):
            self._settle()
        return None if full else turn

    def _granted(self, turn: _Turn) -> bool:
        """Whether to go on with the slot; without one, leave the queue."""
        with self._lock:
            if turn.granted is False:
                self._turns.remove(turn)
        return bool(turn.granted)

    def _give_up(self, turn: _Turn) -> None:
        if self._granted(turn):
            self.leave()

    def _settle(self) -> None:
        came_back = True
        while came_back:
            with self._lock:
                granted = self._grant()
            came_back = self._wake(granted)

    def _grant(self) -> list[_Turn]:
        """Under the lock: drop free slots beyond the limit, and hand the others to the first in the queue."""
        granted = list[_Turn]()
        while self._made > self._limit and self._pop():
            self._made -= 1
        while self._turns and self._made <= self._limit:
            if not self._pop():
                if self._made == self._limit:
                    break
                self._made += 1
            turn = self._turns.popleft()
            turn.granted = True
            granted.append(turn)
        return granted

    def _pop(self) -> bool:
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def _wake(self, granted: list[_Turn]) -> bool:
        """Outside the lock: tell them; True if a slot came back because its event loop was closed meanwhile."""
        came_back = False
        for turn in granted:
            try:
                turn.wake()
            except RuntimeError:
                turn.granted = None
                self._free.append(None)
                came_back = True
        return came_back


def _tell_from_anywhere(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    # Telling another thread's event loop costs a system call, which one's own does not need.
    if asyncio._get_running_loop() is loop:  # noqa: SLF001
        _tell(woken)
    else:
        loop.call_soon_threadsafe(_tell, woken)


def _tell(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
