"""Real worker and sweeper processes on servers of a test's own, and a system that writes as the API does."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from adapters.assembly import Role, System, assemble
from adapters.settings import Settings

from .processes import Server, wait_until
from .servers import DURABLE, running_postgres, running_valkey

ROOT = Path(__file__).parents[2]

_programs = itertools.count()


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

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def terminate(self, *, group: bool = False) -> int:
        """Ask it to end, all of its processes if `group`; return its exit code."""
        (os.killpg if group else os.kill)(self._process.pid, signal.SIGTERM)
        return self._process.wait(30)

    def kill(self) -> None:
        """End it and its children hard, all at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@dataclass
class Site:
    """postgres; valkey: ledger and cache; broker: another Valkey, so that each can be lost alone."""

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
        """A system on this event loop, doing in the background what `role` does."""
        given = {name.removeprefix("HOLDFAST_").lower(): value for name, value in self.settings.items()}
        system = assemble(Settings.model_validate({**given, **settings}))
        if role is not None:
            await system.start(role)
        try:
            yield system
        finally:
            await system.close()


@contextlib.contextmanager
def running_site(**settings: object) -> Iterator[Site]:
    """All servers, migrated and running, and no program yet. settings: of every program."""
    with (
        running_postgres() as postgres,
        running_valkey(*DURABLE) as valkey,
        running_valkey(*DURABLE) as broker,
        tempfile.TemporaryDirectory(prefix="holdfast-site-") as folder,
    ):
        urls = {
            "store": "postgres",
            "postgres_url": postgres.url,
            "ledger_url": valkey.url,
            "cache_url": valkey.url.removesuffix("0") + "1",
            "broker_url": broker.url,
        }
        site = Site(postgres, valkey, broker, Path(folder), _variables(urls | settings))
        migrate = [sys.executable, "-m", "adapters.migrate"]
        subprocess.run(migrate, cwd=ROOT, env=os.environ | site.settings, check=True, capture_output=True)
        try:
            yield site
        finally:
            for program in site.programs:
                program.kill()


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"HOLDFAST_{name.upper()}": str(value) for name, value in settings.items()}
