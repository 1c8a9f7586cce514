"""What a run looked like: counted from its history, for people and for `report.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from .history import Answer, Event, Fault, Invoke, JobSeen, Lost
from .runner import Run


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
    """Of requests: writes applied (200, 201, 204), accepted (202), refused for good (4xx) and for now (429, 503)."""

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
    begin, open_, found = events[0].at, dict[str, float](), list[Bar]()
    for event in events:
        if isinstance(event, Fault):
            label = f"{event.name} {event.target}"
            if event.over:
                found.append(Bar(label, open_.pop(label) - begin, event.at - begin))
            else:
                open_[label] = event.at
    return found


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


def quantiles(times: Iterable[float]) -> dict[str, float]:
    """Seconds: the median, the 99th percentile and the longest."""
    ordered = sorted(times)
    if not ordered:
        return {}
    return {name: round(ordered[int(part * (len(ordered) - 1))], 4) for name, part in _PARTS.items()}


_PARTS = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def settling(events: Iterable[Event]) -> list[float]:
    """For each accepted write, seconds until its job was seen settled."""
    accepted, found = dict[str, float](), list[float]()
    for event in events:
        if isinstance(event, Answer) and event.status == 202 and event.job is not None:
            accepted.setdefault(event.job, event.at)
        elif isinstance(event, JobSeen) and event.settled and event.job in accepted:
            found.append(event.at - accepted.pop(event.job))
    return found


def unmet(run: Run) -> list[str]:
    """What the scenario expects to have happened to requests that met its faults, and has not."""
    events = run.history.events
    begin, under = events[0].at, bars(events)
    met = asdict(count(each for each in exchanges(events) if any(_meets(each, bar, begin) for bar in under)))
    met["ledger_lost"] = run.ledger_lost
    return [f"{wanted} {name}, {met[name]} seen" for name, wanted in run.scenario.expect.items() if met[name] < wanted]


def _meets(each: Exchange, bar: Bar, begin: float) -> bool:
    """Whether it was under way while the fault lasted; its answer may have come later."""
    end = each.at - begin
    return bar.begin <= end and end - each.took <= bar.end


def summary(run: Run) -> dict[str, Any]:
    """All of the report that is not the history itself."""
    events = run.history.events
    found = exchanges(events)
    begin, jobs = events[0].at, settling(events)
    by_state = Counter(event.state for event in events if isinstance(event, JobSeen) and event.settled)
    return {
        "scenario": run.scenario.name,
        "text": run.scenario.text,
        "seed": run.load.seed,
        "seconds": round(events[-1].at - begin, 1),
        "faults": [bar._asdict() for bar in bars(events)],
        "requests": asdict(count(found)),
        "statuses": {
            str(status or "lost"): number for status, number in sorted(Counter(e.status for e in found).items())
        },
        "changes": len({event.tag for event in events if isinstance(event, Invoke) and event.tag}),
        "seconds_per_write": quantiles(each.took for each in found if each.write),
        "seconds_per_read": quantiles(each.took for each in found if not each.write),
        "jobs": dict(by_state),
        "seconds_until_settled": quantiles(jobs),
        "violations": [
            {"rule": each.rule, "text": each.text, "events": _lines(each.events)} for each in run.violations
        ],
        "unfinished": run.unfinished,
        "unmet": unmet(run),
    }


def _lines(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [
        {"event": type(event).__name__, **{k: v for k, v in asdict(event).items() if v is not None}} for event in events
    ]
