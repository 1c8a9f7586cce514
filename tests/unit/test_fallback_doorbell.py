"""When the sweeper replays by itself, on a clock that the test moves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from adapters.fallback_doorbell import FallbackDoorbell
from holdfast.errors import CircuitOpen, OutcomeUnknown, Unavailable
from holdfast.operations.model import Resource
from holdfast.testing.clock import FakeClock

A, B = Resource("notes", "a"), Resource("notes", "b")


class Bells:
    """Notes who was rung for what."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.told: list[Resource] = []
        self.replayed: list[Resource] = []
        self.trouble: Exception | None = None
        self.bell = FallbackDoorbell(self._tell, self._replay, patience=10.0, pause=2.0, clock=self.clock)

    async def sweep(self, resources: list[Resource], seconds: float) -> None:
        """Ring twice a second for so long."""
        for _ in range(int(seconds * 2)):
            await self.bell.ring(resources)
            self.clock.advance(0.5)

    async def _tell(self, resources: Sequence[Resource]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.told.extend(resources)

    async def _replay(self, resources: Sequence[Resource]) -> None:
        self.replayed.extend(resources)


async def test_where_the_workers_can_be_told_nothing_is_replayed_here() -> None:
    bells = Bells()
    await bells.bell.ring([A, B])
    assert (bells.told, bells.replayed) == ([A, B], [])


@pytest.mark.parametrize(
    "trouble", [Unavailable("refused"), OutcomeUnknown("no answer"), CircuitOpen("open", retry_after=1.0)]
)
async def test_what_the_workers_cannot_be_told_is_replayed_here(trouble: Exception) -> None:
    bells = Bells()
    bells.trouble = trouble
    await bells.bell.ring([A, B])
    assert bells.replayed == [A, B]


async def test_once_they_can_be_told_again_it_is_their_work_again() -> None:
    bells = Bells()
    bells.trouble = Unavailable("refused")
    await bells.bell.ring([A])
    bells.trouble = None
    await bells.bell.ring([B])
    assert (bells.told, bells.replayed) == ([B], [A])


async def test_what_the_workers_leave_alone_for_too_long_is_replayed_here() -> None:
    bells = Bells()
    await bells.sweep([A, B], seconds=10)
    assert bells.replayed == []
    await bells.bell.ring([A, B])
    assert bells.replayed == [A, B]


async def test_once_no_worker_comes_the_whole_backlog_is_replayed_here() -> None:
    bells = Bells()
    await bells.sweep([A, B], seconds=10.5)
    await bells.bell.ring([B])
    assert bells.replayed == [A, B, B]


async def test_workers_that_come_are_left_alone_however_long_the_backlog_takes() -> None:
    bells = Bells()
    for number in range(100):
        await bells.sweep([Resource("notes", str(number)), B], seconds=9)
    assert bells.replayed == []


async def test_a_mailbox_that_is_due_again_after_a_while_was_not_left_alone() -> None:
    bells = Bells()
    for _ in range(10):
        await bells.sweep([A], seconds=1)
        bells.clock.advance(5.0)
    assert bells.replayed == []


async def test_workers_are_trusted_again_after_a_time_without_anything_due() -> None:
    bells = Bells()
    await bells.sweep([A], seconds=10.5)
    bells.clock.advance(5.0)
    await bells.bell.ring([B])
    assert bells.replayed == [A]


async def test_a_bug_in_telling_is_not_taken_for_an_outage() -> None:
    bells = Bells()
    bells.trouble = KeyError("bug")
    with pytest.raises(KeyError):
        await bells.bell.ring([A])
    assert bells.replayed == []


async def test_the_log_tells_of_the_change_and_not_of_every_ring(caplog: pytest.LogCaptureFixture) -> None:
    bells = Bells()
    with caplog.at_level(logging.INFO, logger="adapters.fallback_doorbell"):
        bells.trouble = Unavailable("refused")
        for _ in range(5):
            await bells.bell.ring([A])
        bells.trouble = None
        for _ in range(5):
            await bells.bell.ring([B])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
