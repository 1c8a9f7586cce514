"""A process dies at every step of the protocols in turn, under load, and no guarantee is broken."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from adapters.crash_points import POINTS
from chaos.checker import check
from chaos.ending import conclude
from chaos.history import Answer, Healed, History
from chaos.http import NoAnswer, NotSent
from chaos.workload import Load, Workload
from cli.stack.handle import Stack
from tests.support.polling import until
from tests.support.stack import running_stack

# Which program passes it, and what is frozen meanwhile, so that it does and in trouble.
STEPS = {
    "write": ("api", "postgres"),
    "gate": ("api", "postgres"),
    "apply": ("api", "postgres"),
    "hold": ("api", "postgres"),
    "cache": ("api", "postgres"),
    "withdraw": ("api", "worker"),
    "cancel": ("api", "worker"),
    "lease": ("worker", "postgres"),
    "replay": ("worker", "postgres"),
    "settle": ("worker", "postgres"),
    "sweep": ("sweeper", "postgres"),
    "ring": ("sweeper", "worker"),  # else the workers may be quicker than any sweep
    "prune": ("sweeper", None),
    "forget": ("sweeper", None),
}
STANDING = (
    *(("api", "gate", "done"), ("api", "apply", "before"), ("api", "apply", "done"), ("api", "hold", "before")),
    *(("api", "write", "done"), ("worker", "lease", "done"), ("worker", "replay", "before")),
    *(("worker", "replay", "done"), ("worker", "settle", "before")),
)
LEASE = 2.0
SETTINGS = {
    "HOLDFAST_STORE_TIMEOUT": "0.5",
    # Nobody is to take the ledger for away while the machine stands still for a moment: a direct write supersedes then.
    # Less than a process stands at a step here, so that it goes on after whoever waited for it has given up.
    "HOLDFAST_LEDGER_TIMEOUT": str(LEASE),
    "HOLDFAST_LEASE_TTL": str(LEASE),
    "HOLDFAST_PRUNE_INTERVAL": "0.2",
    # So that a replay of few operations has many steps.
    "HOLDFAST_REPLAY_DEPTH": "4",
    "HOLDFAST_REPLAY_BATCH": "16",
}
PATIENCE = 60.0

pytestmark = pytest.mark.timeout(300)

_runs = itertools.count()


class Site:
    """A stack whose programs have points, each program a folder of its own."""

    def __init__(self, stack: Stack, points: Path) -> None:
        self.stack = stack
        self._points = points

    def arm(self, program: str, point: str, action: str = "exit") -> Path:
        """Have the next of the program's processes die there, or wait; the file is there once one does."""
        draft, passed = self._points / "draft", self._points / program / f"{point}.passed"
        passed.unlink(missing_ok=True)
        draft.write_text(action)
        draft.rename(self._points / program / point)
        return passed

    def go_on(self, passed: Path) -> None:
        """End the wait there."""
        passed.unlink()

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        self._signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(name, signal.SIGCONT)

    def pid(self, program: str) -> int | None:
        pid: int | None = self.stack.processes()[program]["pid"]
        return pid

    async def revive(self, program: str, pid: int | None) -> None:
        """Have the one that was `pid` up again at once. A worker sees to its children by itself."""
        if program == "worker":
            return
        await until(lambda: self.pid(program) != pid, seconds=PATIENCE)
        await asyncio.to_thread(self.stack.start, program)

    def _signal(self, name: str, number: signal.Signals) -> None:
        """To the parent first, so that it makes no more children."""
        parent = psutil.Process(self.stack.processes()[name]["pid"])
        parent.send_signal(number)
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    points = tmp_path_factory.mktemp("points")
    own = {}
    for program in ("api", "worker", "sweeper"):
        (points / program).mkdir()
        own[f"HOLDFAST_STACK_{program.upper()}_CRASH_POINTS"] = str(points / program)
    with running_stack(None, **SETTINGS, **own) as stack:
        yield Site(stack, points)


def test_the_sweep_leaves_no_point_out() -> None:
    assert set(POINTS) == {f"{step}.{when}" for step in STEPS for when in ("before", "done")}


@pytest.mark.parametrize("when", ["before", "done"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_process_that_dies_there_breaks_no_guarantee(site: Site, step: str, when: str) -> None:
    await survive(site, *STEPS[step], f"{step}.{when}")


@pytest.mark.parametrize("when", ["before", "done"])
async def test_a_worker_that_dies_at_the_cache_breaks_no_guarantee(site: Site, when: str) -> None:
    await survive(site, "worker", "postgres", f"cache.{when}")


async def test_processes_that_stand_still_at_many_steps_and_go_on_late_break_no_guarantee(site: Site) -> None:
    async with run(site) as history:
        passed = [site.arm("sweeper", "ring.before", "pause")]
        with site.frozen("worker"):  # else it may be quicker than any sweep
            await until(passed[0].exists, seconds=PATIENCE)
        with site.frozen("postgres"):  # only now: nobody is rung for while the sweeper, too, knows that it is away
            await until(lambda: held(history) >= 5, seconds=PATIENCE)
            passed += [site.arm(program, f"{step}.{when}", "pause") for program, step, when in STANDING]
            await until(lambda: any(each.exists() for each in passed[1:]), seconds=PATIENCE)
        await asyncio.gather(*(outlast_the_lease(site, each) for each in passed))


async def outlast_the_lease(site: Site, passed: Path) -> None:
    """Let what stands there go on late; the others of its process may have to wait for that to get to theirs."""
    await until(passed.exists, seconds=PATIENCE)
    ends = time.monotonic() + LEASE + 1.0
    await until(lambda: time.monotonic() > ends)
    site.go_on(passed)


async def survive(site: Site, program: str, frozen: str | None, point: str) -> None:
    pid = site.pid(program)
    async with run(site) as history:
        with site.frozen(frozen) if frozen else contextlib.nullcontext():
            await until(lambda: not frozen or held(history) >= 5, seconds=PATIENCE)
            passed = site.arm(program, point)
            await until(lambda: frozen != "worker" or passed.exists(), seconds=PATIENCE)
        await until(passed.exists, seconds=PATIENCE)
        await site.revive(program, pid)


@contextlib.asynccontextmanager
async def run(site: Site) -> AsyncIterator[History]:
    """Load on the stack while this is entered; what its clients saw is judged at its end."""
    history, stop = History(), asyncio.Event()
    load = Load(clients=6, rate=120, resources=5, timeout=3.0, collection=f"run{next(_runs)}")
    workload = Workload([site.stack.url("api")], load, history)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(workload.run(stop))
        tasks.create_task(cancel_some(workload, stop))
        yield history
        history.add(Healed(at=time.monotonic()))
        stop.set()
    await conclude(workload, history, within=PATIENCE)
    assert [str(found) for found in check(history.events, settle_within=PATIENCE)] == []


def held(history: History) -> int:
    return sum(isinstance(event, Answer) and event.status == 202 for event in history.events)


async def cancel_some(workload: Workload, stop: asyncio.Event) -> None:
    """Take back what was held a moment ago, again and again."""
    connection = workload.connection()
    with contextlib.closing(connection):
        while not await workload._pause(0.05, stop):
            for job in [*workload.unsettled][-1:]:
                with contextlib.suppress(NotSent, NoAnswer):
                    await connection.request("DELETE", f"/v1/jobs/{job}")
