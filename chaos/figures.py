"""What a run looked like: counted from its history, for people and for `report.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from .exchanges import bars, count, exchanges, met
from .history import Answer, Event, Invoke, JobSeen
from .runner import Run


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
    seen = met(run.history.events) | {"ledger_lost": run.ledger_lost}
    return [
        f"{wanted} {name}, {seen[name]} seen" for name, wanted in run.scenario.expect.items() if seen[name] < wanted
    ]


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
