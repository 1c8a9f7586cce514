"""Points of the write, hold, replay and settle protocols at which a test has a process die or wait. For tests only.

A thin proxy before each port, put there only where the setting asks for it: without it no call passes through here.
Each step has two points: `hold.before`, with the step still to be done, and `hold.done`, with its answer at hand.

A point is armed by a file of its name in a folder: `exit` or `pause`, and the number of the passing that is meant, as
in `exit 3`. The first process to pass it takes the file (it is called `hold.done.passed` then) and dies on the spot,
or waits there until the taken file is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from holdfast.operations.model import Operation, Origin

from .around import Call, around

P = TypeVar("P")

Reach = Callable[[str], Awaitable[None]]

EXIT_CODE = 86
_POLL = 0.01

_APPLY = "apply"
# By port and method; what a store applies is a step of its own for each way that an operation comes.
STEPS: Mapping[str, Mapping[str, str]] = {
    "writer": {"write": "write"},
    "store": {"apply": _APPLY, "prune": "prune"},
    "ledger": {
        "gate": "gate",
        "hold": "hold",
        "lease": "lease",
        "settle": "settle",
        "cancel": "cancel",
        "due": "sweep",
        "prune": "forget",
    },
    "cache": {"put": "cache"},
    "doorbell": {"ring": "ring"},
}
_APPLIED_AS = {Origin.HELD: "replay", Origin.WITHDRAWN: "withdraw"}

POINTS = tuple(
    f"{step}.{when}"
    for step in (*(step for steps in STEPS.values() for step in steps.values()), *_APPLIED_AS.values())
    for when in ("before", "done")
)

log = logging.getLogger(__name__)


def watched(port: P, name: str, reach: Reach) -> P:
    """`port` with its points; `reach` is awaited at each, with the point's name. name: a key of STEPS."""
    return around(
        port, **{method: _watched(getattr(port, method), step, reach) for method, step in STEPS[name].items()}
    )


def with_points(port: P, name: str, folder: Path) -> P:
    """`port` with points that are armed by files in `folder`. name: a key of STEPS."""
    return watched(port, name, Folder(folder).reach)


def _watched(method: Call, step: str, reach: Reach) -> Call:
    async def watched_method(*args: Any, **kwargs: Any) -> Any:
        passed = _applied_as(args[0]) if step == _APPLY else step
        await reach(f"{passed}.before")
        answer = await method(*args, **kwargs)
        await reach(f"{passed}.done")
        return answer

    return watched_method


def _applied_as(operations: Sequence[Operation]) -> str:
    return _APPLIED_AS.get(operations[0].origin, _APPLY)


class Folder:
    """Points that are armed by files: `reach` is for `watched`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: Counter[str] = Counter()

    async def reach(self, point: str) -> None:
        """Do what the point's file asks for, if there is one."""
        action = self._take(point)
        if action == "exit":
            log.warning("ends at %s", point)
            os._exit(EXIT_CODE)
        if action == "pause":
            log.warning("waits at %s", point)
            while self._taken(point).exists():
                await asyncio.sleep(_POLL)

    def _take(self, point: str) -> str | None:
        """What to do, None where there is nothing or another process has been told."""
        armed = self._path / point
        try:
            action, _, number = armed.read_text().strip().partition(" ")
            self._passed[point] += 1
            if self._passed[point] < int(number or 1):
                return None
            armed.rename(self._taken(point))
        except FileNotFoundError:
            return None
        del self._passed[point]
        return action

    def _taken(self, point: str) -> Path:
        return self._path / f"{point}.passed"
