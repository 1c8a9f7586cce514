"""One run: load on a system, faults in their time, healing, the end, and what the checker makes of it all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .checker import Violation, check
from .ending import conclude
from .errors import Impossible, Unfinished
from .exchanges import met
from .faults import FAULTS, PROCESSES, broken
from .history import Fault, Healed, History, Sample
from .http import Connection, NoAnswer, NotSent
from .scenario import Scenario, Step
from .system import System
from .workload import Load, Workload

_SAMPLE_EVERY = 0.5
_LOOK_EVERY = 0.2
_PATIENCE = 60.0
_LEDGER_LOST = re.compile(rb"^holdfast_ledger_lost_total (\d+)", re.MULTILINE)

Watch = Callable[[History], None]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run.

    unfinished: why the system did not come to rest, None if it did. ledger_lost: how often it told that its ledger had
    come back empty.
    """

    scenario: Scenario
    load: Load
    history: History
    violations: list[Violation]
    unfinished: str | None
    ledger_lost: int


async def run(scenario: Scenario, load: Load, system: System, folder: Path, watch: Watch) -> Run:
    """Raises Impossible where this machine cannot do it. watch: is called twice a second."""
    _require_known(scenario)
    system.require(scenario)
    unfinished = None
    with History(folder / "history.jsonl") as history:
        workload = Workload(system.urls, load, history)
        lost_before = await _ledger_lost(system)
        async with _sampled(system, history, watch):
            try:
                await _under_load(scenario, system, workload, history)
                await conclude(workload, history, within=scenario.settle_within)
            except Unfinished as error:
                unfinished = str(error)
            except BaseExceptionGroup as errors:
                raise _first(errors) from errors
    violations = check(history.events, settle_within=scenario.settle_within, allow=scenario.allow)
    return Run(scenario, load, history, violations, unfinished, await _ledger_lost(system) - lost_before)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _require_known(scenario: Scenario) -> None:
    for step in scenario.steps:
        if step.fault not in FAULTS:
            raise Impossible(f"{scenario.name}: there is no fault {step.fault!r}, only {', '.join(FAULTS)}")


async def _under_load(scenario: Scenario, system: System, workload: Workload, history: History) -> None:
    stop, turns = asyncio.Event(), defaultdict[str, asyncio.Lock](asyncio.Lock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(workload.run(stop))
        async with asyncio.TaskGroup() as steps:
            steps.create_task(asyncio.sleep(scenario.duration))
            for step in scenario.steps:
                steps.create_task(_perform(step, scenario.expect, system, history, turns[step.target]))
        history.add(Healed(at=time.monotonic()))
        stop.set()


async def _perform(step: Step, expect: Mapping[str, int], system: System, history: History, turn: asyncio.Lock) -> None:
    """turn: of what it breaks, for a process that is slow to come up again is not killed meanwhile."""
    begin = time.monotonic() + step.at
    for number in range(step.times):
        await asyncio.sleep(begin + number * step.every - time.monotonic())
        async with turn if step.fault in PROCESSES else contextlib.nullcontext():
            history.add(Fault(at=time.monotonic(), name=step.fault, target=step.target))
            async with broken(system, step):
                await asyncio.sleep(step.lasts)
                if number == step.times - 1:
                    await _until_it_shows({name: expect[name] for name in step.until}, history)
            history.add(Fault(at=time.monotonic(), name=step.fault, target=step.target, over=True))


async def _until_it_shows(wanted: Mapping[str, int], history: History) -> None:
    """At most for _PATIENCE seconds; whether it has is judged at the end of the run."""
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends and not _shows(wanted, history):
        await asyncio.sleep(_LOOK_EVERY)


def _shows(wanted: Mapping[str, int], history: History) -> bool:
    seen = met(history.events) if wanted else {}
    return all(seen[name] >= number for name, number in wanted.items())


@contextlib.asynccontextmanager
async def _sampled(system: System, history: History, watch: Watch) -> AsyncIterator[None]:
    async def look() -> None:
        with Connection(system.urls[0], timeout=_SAMPLE_EVERY) as connection:
            while True:
                with contextlib.suppress(NotSent, NoAnswer):
                    await _sample(connection, history)
                watch(history)
                await asyncio.sleep(_SAMPLE_EVERY)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])


async def _sample(connection: Connection, history: History) -> None:
    reply = await connection.request("GET", "/admin/stats")
    if reply.status == 200:
        told = json.loads(reply.body)
        breakers = {each["name"]: each["state"] for each in told["breakers"]}
        waiting = told["backlog"]["waiting"] if told["backlog"] else None
        history.add(Sample(at=time.monotonic(), waiting=waiting, breakers=breakers))


async def _ledger_lost(system: System) -> int:
    """0 where the API cannot be asked, and after it has been started anew."""
    with Connection(system.urls[0], timeout=5.0) as connection, contextlib.suppress(NotSent, NoAnswer):
        found = _LEDGER_LOST.search((await connection.request("GET", "/metrics")).body)
        return int(found[1]) if found else 0
    return 0
