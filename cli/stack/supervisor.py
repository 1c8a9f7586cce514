"""Runs a plan: everything up in order, kept up, steered by name, and down in order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from cli.errors import StackError

from . import members
from .layout import Layout
from .output import Output
from .plan import STORE, Plan
from .process import Process, State
from .spawn import describe, ended, spawn
from .spec import Spec

_STOPPED_BEFORE_THE_SERVERS = ("api", "sweeper", "worker")


class Supervisor:
    """One run of a stack.

    complete: all has come up, and the end has not begun.
    `stack.json` is there from when all is ready until the end, and tells the pids and URLs of the moment.
    """

    def __init__(self, plan: Plan, layout: Layout, output: Output) -> None:
        self._plan = plan
        self._layout = layout
        self._output = output
        self.complete = False
        self._ending = False
        self._processes = {spec.name: self._process(spec) for spec in (*plan.servers, *plan.programs)}

    async def start(self) -> None:
        """Bring everything up; raises StackError when something does not come up."""
        await self._step(self._plan.check)
        if self._plan.database and not self._plan.database.data.exists():
            self._output.event("postgres", "creating its data")
            await self._plan.database.create(self._step)
        await self._start(self._plan.servers)
        self._output.event("migrate", "started")
        await self._step(self._plan.migrate)
        await self._start(self._plan.programs)
        self.complete = True
        try:
            self._write_state()
        except OSError as error:
            raise StackError(f"cannot write {self._layout.state}: {error.strerror}") from error

    async def stop(self) -> None:
        """End everything, the ones that need others first."""
        self.complete, self._ending = False, True
        self._layout.state.unlink(missing_ok=True)
        for name in _STOPPED_BEFORE_THE_SERVERS:
            await self._processes[name].stop()
        await asyncio.gather(*(self._processes[spec.name].stop() for spec in self._plan.servers))

    async def kill(self) -> None:
        """End everything at once."""
        await asyncio.gather(*(process.kill() for process in self._processes.values()))

    def find(self, name: str) -> Process:
        """The process behind a name; raises StackError where there is none, or none any more."""
        if self._ending:
            raise StackError("the stack is ending")
        if name == STORE:
            name = self._plan.store
        if name not in self._plan.names:
            raise StackError(f"there is no {name!r}; the names are {', '.join(self._plan.names)}")
        if name not in self._plan.hosts:
            raise StackError(f"{name} is not run by this stack: HOLDFAST_{name.upper()}_URL says where it is")
        return self._processes[self._plan.hosts[name]]

    @property
    def store(self) -> str:
        """The name of the store's server."""
        return self._plan.store

    def url(self, name: str) -> str:
        return self._plan.urls[name]

    def status(self) -> list[dict[str, Any]]:
        """A row for each name: its process, where it answers, and how it does."""
        return [self._status(name) for name in self._plan.names]

    def _status(self, name: str) -> dict[str, Any]:
        row = {"name": name, "pid": None, "url": self._plan.urls.get(name), "state": "external", "restarts": 0}
        if name in self._plan.hosts:
            process = self._processes[self._plan.hosts[name]]
            row |= {"pid": process.pid, "state": process.state.value, "restarts": process.restarts}
        return row

    def _process(self, spec: Spec) -> Process:
        return Process(spec, self._layout.members(spec.name), self._output, lambda what: self._changed(spec.name, what))

    def _changed(self, name: str, what: str) -> None:
        ready = self._processes[name].state is State.READY
        self._output.event(name, f"{what} at {self._plan.urls[name]}" if ready and name in self._plan.urls else what)
        if self.complete:
            self._refresh_state()

    async def _start(self, specs: tuple[Spec, ...]) -> None:
        await asyncio.gather(*(self._processes[spec.name].start() for spec in specs))

    async def _step(self, spec: Spec) -> None:
        """Run to its end something that must succeed."""
        token = self._layout.members(spec.name)
        child = spawn(spec, token, self._output)
        try:
            code = await ended(child)
        finally:
            await members.end(token)
            child.wait()
        if code:
            raise StackError(f"{spec.name} failed: {describe(code)}{self._output.last_words(spec.name)}")

    def _refresh_state(self) -> None:
        try:
            self._write_state()
        except OSError as error:  # a full disk, say: whoever keeps a process up must go on
            self._output.note(f"{self._layout.state} cannot be written and is out of date: {error.strerror}")

    def _write_state(self) -> None:
        """Put the file in place whole, so that a reader never sees half of it."""
        rows = [{key: row[key] for key in ("name", "pid", "url")} for row in self.status()]
        draft = self._layout.state.with_suffix(".new")
        draft.write_text(json.dumps({"processes": rows}, indent=2) + "\n")
        draft.replace(self._layout.state)
