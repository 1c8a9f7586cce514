"""What a child process keeps from task to task, in this process and on the memory profile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar

import pytest

from adapters.assembly import System, assemble
from adapters.settings import Settings
from holdfast.operations.model import Resource
from worker.runtime import Ending, Runtime

trace: ContextVar[str] = ContextVar("trace", default="none")


class NoEnding(Ending):
    """This process goes on."""

    def watch(self, told: Callable[[], None]) -> None:
        """Nothing will be told."""


class Child:
    """A runtime whose replays do what the test says."""

    def __init__(self) -> None:
        self.system: System = assemble(Settings(store="memory"))
        self.seen: list[str] = []
        self.runtime = Runtime(lambda: self.system, NoEnding())

    def replays_by(self, replay: Callable[[Sequence[Resource]], object]) -> None:
        async def replaying(resources: Sequence[Resource] = ()) -> int:
            replay(resources)
            return len(resources)

        self.system.replayer.replay = replaying  # type: ignore[method-assign]


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    child.runtime.start()
    yield child
    child.runtime.close()


def test_a_replay_runs_in_the_context_of_its_message(child: Child) -> None:
    child.replays_by(lambda _: child.seen.append(trace.get()))
    for name in ("first", "second"):
        token = trace.set(name)
        child.runtime.replay([])
        trace.reset(token)
    assert child.seen == ["first", "second"]


def test_what_a_replay_sets_in_its_context_does_not_reach_the_next(child: Child) -> None:
    child.replays_by(lambda _: (child.seen.append(trace.get()), trace.set("left behind")))
    child.runtime.replay([])
    child.runtime.replay([])
    assert child.seen == ["none", "none"]


def test_all_replays_of_a_child_share_one_event_loop(child: Child) -> None:
    loops = set()
    child.replays_by(lambda _: loops.add(asyncio.get_running_loop()))
    child.runtime.replay([])
    child.runtime.replay([])
    assert len(loops) == 1


def test_a_replay_that_fails_leaves_the_child_able_to_do_the_next(child: Child) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    child.replays_by(fail)
    with pytest.raises(ZeroDivisionError):
        child.runtime.replay([])
    child.replays_by(lambda _: None)
    assert child.runtime.replay([Resource("notes", "1")]) == 1


def test_a_child_told_to_end_in_a_replay_ends_after_it_and_not_in_the_middle(child: Child) -> None:
    def told(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        child.seen.append("went on")

    child.replays_by(told)
    with pytest.raises(SystemExit):
        child.runtime.replay([])
    assert child.seen == ["went on"]
