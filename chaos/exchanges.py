"""Requests with what became of them, and which of them met a fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from .history import Answer, Event, Fault, Invoke, Lost


class Exchange(NamedTuple):
    """A request and what became of it. status: 0 where no answer came."""

    at: float
    took: float
    write: bool
    status: int
    stale: bool


class Bar(NamedTuple):
    """A fault, from when to when, in seconds of the run."""

    label: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How many requests ended in which way.

    applied:  writes answered with 200, 201 or 204. accepted: with 202.
    definite: writes refused for good (4xx). refused: for now (429, 503).
    lost:     requests without an answer.
    reads:    those that were answered. stale: reads answered from the cache.
    """

    applied: int = 0
    accepted: int = 0
    definite: int = 0
    refused: int = 0
    lost: int = 0
    reads: int = 0
    stale: int = 0


def exchanges(events: Iterable[Event]) -> list[Exchange]:
    """In the order of their ends."""
    open_, found = dict[int, Invoke](), list[Exchange]()
    for event in events:
        if isinstance(event, Invoke):
            open_[event.request] = event
        elif isinstance(event, (Answer, Lost)):
            invoke = open_.pop(event.request)
            status, stale = (event.status, event.stale) if isinstance(event, Answer) else (0, False)
            found.append(Exchange(event.at, event.at - invoke.at, invoke.tag is not None, status, stale))
    return found


def bars(events: Sequence[Event]) -> list[Bar]:
    """What is still broken at the last event lasts until then."""
    begin, open_, found = events[0].at, dict[str, float](), list[Bar]()
    for event in events:
        if isinstance(event, Fault):
            label = f"{event.name} {event.target}"
            if event.over:
                found.append(Bar(label, open_.pop(label) - begin, event.at - begin))
            else:
                open_[label] = event.at
    return found + [Bar(label, at - begin, events[-1].at - begin) for label, at in open_.items()]


def count(found: Iterable[Exchange]) -> Counts:
    tally: Counter[str] = Counter(name for each in found for name in _names(each))
    return Counts(**tally)


def _names(each: Exchange) -> list[str]:
    if each.status == 0:
        return ["lost"]
    if not each.write:
        return ["reads", "stale"] if each.stale else ["reads"]
    if each.status == 202:
        return ["accepted"]
    if each.status < 300:
        return ["applied"]
    return ["refused" if each.status in (429, 503) else "definite"]


def met(events: Sequence[Event]) -> dict[str, int]:
    """How many requests that met a fault had each of the ends in `Counts`."""
    under = bars(events)
    return asdict(count(each for each in exchanges(events) if any(_meets(each, bar, events[0].at) for bar in under)))


def _meets(each: Exchange, bar: Bar, begin: float) -> bool:
    """Whether it was under way while the fault lasted; its answer may have come later."""
    end = each.at - begin
    return bar.begin <= end and end - each.took <= bar.end
