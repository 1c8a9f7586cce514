"""Two moments at which a slot could be lost or handed out twice, made to happen on purpose."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

from holdfast.clock import system_clock
from holdfast.slots import Slots
from holdfast.testing.clock import FakeClock

PATIENCE = 60.0


class MeetingFirst:
    """A lock for which two threads wait for each other before either takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._both = threading.Barrier(2, timeout=PATIENCE)

    def __enter__(self) -> None:
        self._both.wait()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


async def test_a_slot_given_back_just_before_one_joins_the_queue_is_found() -> None:
    slots = Slots(1)
    assert slots.take()
    assert not slots.take()
    slots.leave()
    assert await slots.join(1, 1.0, FakeClock())
    slots.leave()
    assert slots.wait(1, PATIENCE, system_clock)
    assert (slots.taken, slots.waiting) == (1, 0)


def test_two_who_find_the_last_slot_at_the_same_moment_do_not_both_get_it() -> None:
    slots = Slots(1)
    slots._lock = MeetingFirst()  # type: ignore[assignment]
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(slots.take) for _ in range(2)]
        assert sorted(each.result(PATIENCE) for each in taken) == [False, True]


async def test_nobody_overtakes_who_waits_even_when_a_slot_is_free_for_a_moment() -> None:
    slots = Slots(1)
    slots._join(lambda: None, math.inf)
    slots._join(lambda: None, math.inf)
    slots._free.append(None)  # given back, and not yet handed over
    assert not slots.take()
