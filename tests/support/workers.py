"""Real worker and sweeper processes on servers of a test's own, and a system that writes as the API does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from adapters.assembly import Role, System, assemble
from adapters.settings import Settings
from holdfast.errors import Unavailable
from holdfast.operations.model import Job, Kind, Resource, State
from holdfast.operations.write import Accepted

from .engine import operation
from .polling import until_seen
from .processes import WAIT, Server, wait_until
from .servers import DURABLE, running_postgres, running_valkey

ROOT = Path(__file__).parents[2]

PATIENT = {**{f"{name}_timeout": 10 for name in ("store", "ledger", "cache", "broker")}, "write_patience": 10}

_programs = itertools.count()
_collections = itertools.count()


class Program:
    """`python -m MODULE` in a process group of its own, with a ready file."""

    def __init__(self, module: str, settings: Mapping[str, str], folder: Path) -> None:
        name = f"{module}-{next(_programs)}"
        self.module = module
        self.ready_file = folder / f"{name}.ready"
        self._log = folder / f"{name}.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={**own, **settings, "HOLDFAST_READY_FILE": str(self.ready_file)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_ready(self) -> Program:
        wait_until(lambda: self.ready or self._process.poll() is not None, f"{self.module} is ready\n{self.log()}")
        assert self.ready, self.log()
        return self

    @property
    def ready(self) -> bool:
        return self.ready_file.exists()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def terminate(self, number: int = signal.SIGTERM, *, group: bool = False) -> int:
        """Ask it to end, all of its processes if `group`; return its exit code."""
        self.signal(number, group=group)
        return self._process.wait(WAIT)

    def signal(self, number: int, *, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self._process.pid, number)

    def kill(self) -> None:
        """End it and its children hard, all at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(WAIT)

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@dataclass
class Site:
    """postgres; valkey: ledger and cache; broker: another server, so that each can be lost alone."""

    postgres: Server
    valkey: Server
    broker: Server
    folder: Path
    settings: dict[str, str]
    programs: list[Program] = field(default_factory=list)

    def start(self, module: str = "worker", **settings: object) -> Program:
        """Start `python -m MODULE`; settings: by their names without the prefix."""
        program = Program(module, {**self.settings, **_variables(settings)}, self.folder)
        self.programs.append(program)
        return program

    @asynccontextmanager
    async def system(self, role: Role | None = None, **settings: object) -> AsyncIterator[System]:
        """A system on this event loop, doing in the background what `role` does; its calls have time enough."""
        ours = {name.partition("_")[2]: value for name, value in self.settings.items() if name.startswith("HOLDFAST_")}
        given = {name.lower(): value for name, value in ours.items()}
        system = assemble(Settings.model_validate({**PATIENT, **given, **settings}))
        if role is not None:
            await system.start(role)
        try:
            yield system
        finally:
            await system.close()


@contextlib.contextmanager
def running_site(broker: AbstractContextManager[Server] | None = None, **settings: object) -> Iterator[Site]:
    """All servers, migrated and running, and no program yet.

    broker: not running yet; a Valkey where it is not given. settings: of every program.
    """
    with (
        running_postgres() as postgres,
        running_valkey(*DURABLE) as valkey,
        broker or running_valkey(*DURABLE) as queue,
        tempfile.TemporaryDirectory(prefix="holdfast-site-") as folder,
    ):
        urls = {
            "store": "postgres",
            "postgres_url": postgres.url,
            "ledger_url": valkey.url,
            "cache_url": valkey.url.removesuffix("0") + "1",
            "broker_url": queue.url,
        }
        site = Site(postgres, valkey, queue, Path(folder), _variables(urls | settings))
        migrate = [sys.executable, "-m", "adapters.migrate"]
        subprocess.run(migrate, cwd=ROOT, env=os.environ | site.settings, check=True, capture_output=True)
        try:
            yield site
        finally:
            for program in site.programs:
                program.kill()


async def hold(system: System, mailboxes: int, each: int = 2) -> list[Job]:
    """Have operations held that take their turns at their records: the last of each writes `n` = each - 1."""
    collection = f"notes{next(_collections)}"
    jobs: list[Job] = []
    for n in range(each):
        answers = await asyncio.gather(
            *(
                system.writer.write(operation(Kind.REPLACE, f"{collection}/{number}", {"n": n}), hold_at_once=True)
                for number in range(mailboxes)
            )
        )
        jobs += [answer.job for answer in answers if isinstance(answer, Accepted)]
    assert len(jobs) == mailboxes * each
    return jobs


async def now(system: System, jobs: list[Job]) -> list[Job]:
    found = await asyncio.gather(*(system.jobs.get(job.operation.id) for job in jobs))
    return [job for job in found if job is not None]


async def settled(system: System, jobs: list[Job]) -> list[Job]:
    """The jobs once all of them are settled; some of those that are not are looked at each time."""
    found: dict[str, Job] = {}

    async def all_are() -> bool:
        waiting = [job for job in jobs if job.operation.id not in found]
        found.update({job.operation.id: job for job in await now(system, waiting[:100]) if job.state.settled})
        return len(found) == len(jobs)

    await until_seen(all_are, "all jobs are settled")
    return [found[job.operation.id] for job in jobs]


async def until_running(system: System, jobs: list[Job]) -> None:
    async def some_are() -> bool:
        return any(job.state is State.RUNNING for job in await now(system, jobs))

    await until_seen(some_are, "a worker has leased some")


async def backlog(system: System) -> int:
    """Raises Unavailable where the ledger does not tell."""
    stats = await system.ledger_stats()
    if stats is None:
        raise Unavailable("the ledger did not tell")
    return stats.waiting


async def some_settled(system: System, jobs: list[Job]) -> None:
    """Return in the middle of a replay."""

    async def some_are() -> bool:
        return await backlog(system) < len(jobs) * 0.9

    await until_seen(some_are, "a replay has begun")


async def all_applied_once_and_in_order(system: System, jobs: list[Job]) -> None:
    assert {job.state for job in await settled(system, jobs)} == {State.SUCCEEDED}
    writes: dict[Resource, int] = {}
    for job in jobs:
        writes[job.operation.resource] = writes.get(job.operation.resource, 0) + 1
    readings = await asyncio.gather(*(system.reader.get(resource) for resource in writes))
    for reading in readings:
        record = reading.record
        assert record is not None
        assert record.version == writes[record.resource]
        assert record.data == {"n": writes[record.resource] - 1}


async def eventually(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"HOLDFAST_{name.upper()}": str(value) for name, value in settings.items()}
