"""One line that tells how a run goes."""

from __future__ import annotations

import sys
from collections import Counter

from .history import Answer, Event, Fault, Healed, History, Lost, Sample
from .scenario import Scenario


class Progress:
    """Called with the history as it grows; on a terminal it renews its line, elsewhere it is silent."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._read = 0
        self._broken: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._waiting: int | None = None
        self._healed = False

    def __call__(self, history: History) -> None:
        if not history.events or not sys.stderr.isatty():
            return
        for event in history.events[self._read :]:
            self._take(event)
        self._read = len(history.events)
        seconds = history.events[-1].at - history.events[0].at
        broken = ", ".join(sorted(+self._broken)) or ("settling" if self._healed else "all is well")
        counts = "  ".join(f"{status} {number}" for status, number in sorted(self._statuses.items()))
        print(f"\r\033[K  {seconds:4.0f} s  {broken:<40} {counts}  held {self._waiting}", end="", file=sys.stderr)

    def _take(self, event: Event) -> None:
        match event:
            case Fault():
                self._broken[f"{event.name} {event.target}"] += -1 if event.over else 1
            case Answer():
                self._statuses[str(event.status)] += 1
            case Lost():
                self._statuses["lost"] += 1
            case Sample():
                self._waiting = event.waiting
            case Healed():
                self._healed = True
