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
        self.bell = FallbackDoorbell(self._tell, self._replay, patience=10.0, clock=self.clock)

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
    await bells.bell.ring([A, B])
    bells.clock.advance(9.9)
    await bells.bell.ring([A, B])
    assert bells.replayed == []
    bells.clock.advance(0.1)
    await bells.bell.ring([A, B])
    assert bells.replayed == [A, B]


async def test_workers_that_come_are_left_alone_however_long_the_backlog_takes() -> None:
    bells = Bells()
    for number in range(100):
        await bells.bell.ring([Resource("notes", str(number)), B])
        bells.clock.advance(9.0)
    assert bells.replayed == []


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
