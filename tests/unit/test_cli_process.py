"""The life of one process of the stack, on real processes."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.errors import StackError
from cli.stack import members
from cli.stack.log import tail
from cli.stack.output import Output
from cli.stack.process import Process, State
from cli.stack.spec import Probe, Spec

IDLE = "import signal; print('here'); signal.pause()"
POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit()))
print('here')
signal.pause()
"""
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('here')
while True: signal.pause()
"""
SILENT = "import signal; signal.pause()"
# Its child leads a session of its own, as each PostgreSQL backend does; the child's pid is printed.
FAMILY = """
import os, signal
pid = os.fork()
if pid:
    print(pid)
else:
    os.setsid()
signal.pause()
"""


class Stage:
    """One process, made of Python code, and what was told about it. It is ready once it has printed a line."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self._folder = folder
        self._output = Output(folder)
        self._process: Process | None = None

    def process(self, code: str, *, ready: Probe | None = None, grace: float = 10.0) -> Process:
        return self.run([sys.executable, "-c", code], ready=ready, grace=grace)

    def run(self, argv: list[str], *, ready: Probe | None = None, grace: float = 10.0) -> Process:
        env = os.environ | {"PYTHONUNBUFFERED": "1"}
        spec = Spec("it", argv, env, ready or self._has_printed, grace=grace)
        self._process = Process(spec, self._folder / "it.members", self._output, self.told.append)
        return self._process

    def printed(self) -> list[str]:
        return tail(self._folder / "it.log", 9)

    async def _has_printed(self) -> bool:
        return bool(self.printed())

    async def clear(self) -> None:
        if self._process:
            await self._process.kill()
        await self._output.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    await stage.clear()


async def soon(condition: Callable[[], bool]) -> None:
    assert await members.until(condition, 60)


async def never() -> bool:
    return False


def is_gone(pid: int) -> bool:
    """It has no memory any more, though the kernel may still be about to make a zombie of it."""
    try:
        return bool(psutil.Process(pid).memory_info().vms == 0)
    except psutil.NoSuchProcess:
        return True


def pid_of(process: Process) -> int:
    assert process.pid is not None
    return process.pid


async def test_a_start_returns_when_it_is_ready(stage: Stage) -> None:
    process = stage.process(IDLE)
    await process.start()
    assert stage.printed() == ["here"]
    assert process.state is State.READY


async def test_a_second_start_changes_nothing(stage: Stage) -> None:
    process = stage.process(IDLE)
    await process.start()
    pid = process.pid
    await process.start()
    assert process.pid == pid


async def test_one_that_dies_by_itself_is_started_again(stage: Stage) -> None:
    process = stage.process(IDLE)
    await process.start()
    first = pid_of(process)
    os.kill(first, signal.SIGKILL)
    await soon(lambda: process.state is State.READY and process.pid not in (None, first))
    assert process.restarts == 1
    assert "it was killed by SIGKILL; starting again in 0.25 s" in stage.told


async def test_one_that_keeps_dying_is_tried_less_and_less_often_and_the_start_says_why(stage: Stage) -> None:
    process = stage.process("raise SystemExit('no such table')", ready=never)
    with pytest.raises(StackError, match=r"not ready: it ended with exit code 1; its last lines:\n  no such table"):
        await process.start()
    pauses = [text.rpartition(" in ")[2] for text in stage.told if "exit code 1" in text]
    assert pauses == ["0.25 s", "0.5 s", "1 s"]


async def test_trouble_with_its_files_does_not_end_the_trying(stage: Stage) -> None:
    troubles = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))]

    def prepare() -> None:
        if troubles:
            raise troubles.pop()

    process = stage.process(IDLE)
    process.spec = replace(process.spec, prepare=prepare)
    await process.start()
    assert "cannot be run: [Errno 28] No space left on device; starting again in 0.25 s" in stage.told


async def test_what_an_earlier_run_said_is_not_given_as_the_reason(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "it.log").write_text("the trouble of yesterday\n")
    process = stage.process("raise SystemExit('no such table')", ready=never)
    with pytest.raises(StackError, match="no such table") as raised:
        await process.start()
    assert "yesterday" not in raised.value.message


async def test_a_start_by_hand_does_not_wait_for_the_pause(stage: Stage) -> None:
    process = stage.process("raise SystemExit(1)", ready=never)
    with pytest.raises(StackError):
        await process.start()
    starts = len(stage.told)
    with pytest.raises(StackError):
        await process.start()
    assert "0.25 s" in stage.told[starts + 1]


async def test_a_start_does_not_wait_for_ever(stage: Stage) -> None:
    process = stage.process(IDLE, ready=never)
    with pytest.raises(StackError, match="not ready: it takes too long"):
        await process.start(timeout=0.1)
    await soon(lambda: process.state is State.STARTING)


async def test_a_program_that_is_not_there_is_named(stage: Stage) -> None:
    process = stage.run(["/nonexistent/program"])
    with pytest.raises(StackError, match=r"cannot be run: .*/nonexistent/program"):
        await process.start()


async def test_a_kill_takes_the_children_along_and_it_stays_down(stage: Stage) -> None:
    process = stage.process(FAMILY)
    await process.start()
    await process.kill()
    assert is_gone(int(stage.printed()[0]))
    assert process.state is State.DOWN
    assert not await members.until(lambda: process.pid is not None, 0.5), "it was started again"
    await process.start()
    assert process.state is State.READY


async def test_a_kill_ends_a_frozen_one(stage: Stage) -> None:
    process = stage.process(FAMILY)
    await process.start()
    await process.freeze()
    await process.kill()
    assert is_gone(int(stage.printed()[0]))
    assert process.state is State.DOWN


async def test_a_kill_ends_the_waiting_of_a_start(stage: Stage) -> None:
    process = stage.process(IDLE, ready=never)
    starting = asyncio.create_task(process.start())
    await soon(lambda: process.pid is not None)
    await process.kill()
    with pytest.raises(StackError, match="not ready"):
        await starting
    assert process.pid is None


async def test_a_stop_lets_it_finish(stage: Stage) -> None:
    process = stage.process(POLITE)
    await process.start()
    await process.stop()
    await soon(lambda: stage.printed() == ["here", "bye"])
    assert process.state is State.DOWN


async def test_a_stop_lets_a_frozen_one_finish(stage: Stage) -> None:
    process = stage.process(POLITE)
    await process.start()
    await process.freeze()
    await process.stop()
    await soon(lambda: stage.printed() == ["here", "bye"])


async def test_a_stop_kills_one_that_does_not_listen(stage: Stage) -> None:
    process = stage.process(DEAF, grace=0.2)
    await process.start()
    await process.stop()
    assert process.state is State.DOWN
    assert "did not end within 0.2 s: killed" in stage.told


async def test_a_stop_of_the_parent_alone_leaves_no_child_behind(stage: Stage) -> None:
    process = stage.process(FAMILY)
    await process.start()
    await process.stop()
    assert is_gone(int(stage.printed()[0]))


async def test_freezing_stops_all_of_it_and_thawing_lets_it_go_on(stage: Stage) -> None:
    process = stage.process(FAMILY)
    await process.start()
    family = [psutil.Process(pid_of(process)), psutil.Process(int(stage.printed()[0]))]
    await process.freeze()
    assert process.state is State.FROZEN
    assert [member.status() for member in family] == [psutil.STATUS_STOPPED] * 2
    await process.thaw()
    assert process.state is State.READY
    assert psutil.STATUS_STOPPED not in [member.status() for member in family]


async def test_what_is_down_cannot_be_frozen_and_what_is_frozen_cannot_be_started(stage: Stage) -> None:
    process = stage.process(IDLE)
    with pytest.raises(StackError, match="it is down; start it first"):
        await process.freeze()
    await process.start()
    await process.freeze()
    with pytest.raises(StackError, match="it is frozen; thaw it first"):
        await process.start()


async def test_the_children_of_a_dead_parent_end_before_its_next_start(stage: Stage) -> None:
    process = stage.process(FAMILY)
    await process.start()
    first, orphan = pid_of(process), int(stage.printed()[0])
    os.kill(orphan, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    await soon(lambda: process.pid not in (None, first))
    assert is_gone(orphan)


async def test_it_is_in_a_session_of_its_own_out_of_reach_of_the_terminal(stage: Stage) -> None:
    process = stage.process(IDLE)
    await process.start()
    assert os.getsid(pid_of(process)) == process.pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
async def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, signal, sys
from pathlib import Path
from cli.stack.output import Output
from cli.stack.probes import at_once
from cli.stack.spawn import spawn
from cli.stack.spec import Spec
async def main():
    spec = Spec("it", [sys.executable, "-c", {SILENT!r}], os.environ, at_once)
    print(spawn(spec, Path("it.members"), Output(Path())).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await parent.communicate()
    await soon(lambda: is_gone(int(said)))
