"""Systems to break, one at a time: one that came out of a run whole serves the next run too."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from . import compose
from .errors import Impossible
from .faults import NETWORK
from .local import local
from .scenario import Scenario
from .system import System

TARGETS = ("local", "compose")


def kind_of(scenario: Scenario) -> tuple[bool, int, dict[str, str]]:
    """What a system must be like for it: proxied or not, how many replicas, settings. One serves all of a kind."""
    return any(step.fault in NETWORK for step in scenario.steps), scenario.replicas, dict(scenario.settings)


class Lab:
    """A system of our own is kept in a temporary folder and ended at the latest when this is left.

    store: postgres or mongo. target: one of TARGETS; `compose` is the project that runs already. key: for its API.
    """

    def __init__(self, store: str, target: str = "local", key: str | None = None) -> None:
        self._store, self._target, self._key = store, target, key
        self._things = contextlib.AsyncExitStack()
        self._system: System | None = None
        self._kind: object = None

    async def system(self, scenario: Scenario) -> System:
        """The system that the scenario needs, whole. Raises Impossible, and StackError where it does not come up."""
        if not scenario.fits(self._store):
            raise Impossible(f"it breaks what only another store has, and the store is {self._store}")
        if self._target == "compose":
            self._system = await compose.running(self._store, self._key)
            return self._system
        kind = proxied, replicas, own = kind_of(scenario)
        settings = {**own, "HOLDFAST_STORE": self._store}
        if self._system is None or self._kind != kind:
            await self.discard()
            folder = Path(self._things.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-chaos-")))
            made = local(folder, settings, proxied=proxied, replicas=replicas)
            self._system = await self._things.enter_async_context(made)
            self._kind = kind
        return self._system

    async def discard(self, keep_logs: Path | None = None) -> None:
        """End the system; the next run has a new one. keep_logs: a folder for what it has said."""
        if self._system is not None and keep_logs is not None:
            await self._system.keep_logs(keep_logs)
        self._system = None
        await self._things.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.discard()
