"""A run on one page that needs nothing else: charts as inline SVG, drawn here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .checker import RULES, Violation
from .exchanges import Bar, Exchange, bars, exchanges
from .history import Event, Sample, encode
from .runner import Run

_WIDTH, _HEIGHT, _LEFT = 1000, 120, 60
_COLOURS = {
    "applied": "#2a9d5c",
    "accepted": "#3a7bd5",
    "4xx": "#b8b8c8",
    "503": "#e08a1e",
    "lost": "#c0392b",
    "reads": "#9ad0b0",
    "stale": "#7a5cc9",
}
_STATES = {"closed": "#2a9d5c", "half_open": "#e08a1e", "open": "#c0392b", "isolated": "#555"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { margin-bottom: 0 } .good { color: #2a9d5c } .bad { color: #c0392b } td, th { padding: 0 1em 0 0; text-align: left }
pre { background: #f4f4f7; padding: .7em; overflow-x: auto; font-size: 12px } svg { width: 100%; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: #555 }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
"""


def render(run: Run, summary: Mapping[str, Any]) -> str:
    """HTML."""
    events = run.history.events
    found, faults = exchanges(events), bars(events)
    time = _Time(events[0].at, events[-1].at)
    parts = [
        _head(run, summary),
        _table(summary),
        _chart("Requests per second", _stacked(found, time), faults, time, _legend(_COLOURS)),
        _chart("Seconds per write, median and 99th percentile", _latencies(found, time), faults, time),
        _chart("Held operations", _backlog(events, time), faults, time),
        _chart("Breakers of the API", _breakers(events, time), faults, time, _legend(_STATES)),
        *(_violation(each) for each in run.violations[:50]),
    ]
    title = escape(f"{run.scenario.name}, seed {run.load.seed}")
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>{''.join(parts)}\n"


class _Time:
    """Seconds of the run as places on the page."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin = begin
        self.seconds = max(end - begin, 1.0)

    def x(self, seconds: float) -> float:
        return round(_LEFT + seconds / self.seconds * (_WIDTH - _LEFT), 1)

    def second(self, at: float) -> int:
        return int(at - self.begin)


def _head(run: Run, summary: Mapping[str, Any]) -> str:
    rules = sorted({each.rule for each in run.violations})
    verdicts = [f"{len(run.violations)} violations ({', '.join(rules)})"] if rules else []
    verdicts += [summary["unfinished"]] if summary["unfinished"] else []
    verdicts += [f"expected at least {each}" for each in summary["unmet"]]
    mood, verdict = ("bad", "; ".join(verdicts)) if verdicts else ("good", "Every guarantee held.")
    return (
        f"<h1>{escape(run.scenario.name)}</h1><p>{escape(run.scenario.text)} Seed {run.load.seed}.</p>"
        f"<p class={mood}><b>{escape(verdict)}</b></p>"
    )


def _table(summary: Mapping[str, Any]) -> str:
    shown = ("seconds", "changes", "requests", "seconds_per_write", "seconds_per_read", "jobs", "seconds_until_settled")
    rows = (f"<tr><th>{key.replace('_', ' ')}<td>{escape(_words(summary[key]))}" for key in shown)
    return f"<table>{''.join(rows)}</table>"


def _words(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)


def _chart(title: str, drawing: str, faults: Iterable[Bar], time: _Time, legend: str = "") -> str:
    under = "".join(
        f'<rect x="{time.x(bar.begin)}" y="0" width="{max(time.x(bar.end) - time.x(bar.begin), 1):.1f}" '
        f'height="{_HEIGHT}" fill="#c0392b" opacity=".12"><title>{escape(bar.label)}</title></rect>'
        for bar in faults
    )
    step = max(1, round(time.seconds / 10))
    marks = "".join(
        f'<text x="{time.x(second)}" y="{_HEIGHT + 14}">{second} s</text>'
        for second in range(0, int(time.seconds) + 1, step)
    )
    names = "".join(f'<text x="{time.x(bar.begin) + 2}" y="10">{escape(bar.label)}</text>' for bar in faults)
    frame = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20}" role="img">{under}{drawing}{names}{marks}</svg>'
    return f"<h3>{escape(title)}{legend}</h3>{frame}"


def _legend(colours: Mapping[str, str]) -> str:
    return "".join(
        f'<span class=key style="background:{colour}"></span><small>{name}</small>' for name, colour in colours.items()
    )


def _kind(each: Exchange) -> str:
    if each.status == 0:
        return "lost"
    if each.status >= 500 or each.status == 429:
        return "503"
    if not each.write:
        return "stale" if each.stale else "reads"
    if each.status == 202:
        return "accepted"
    return "applied" if each.status < 300 else "4xx"


def _stacked(found: Iterable[Exchange], time: _Time) -> str:
    seconds: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in found:
        seconds[time.second(each.at)][_kind(each)] += 1
    top = max((sum(kinds.values()) for kinds in seconds.values()), default=1)
    width = max((_WIDTH - _LEFT) / time.seconds - 0.5, 0.5)
    drawing = [_scale(top)]
    for second, kinds in seconds.items():
        y = float(_HEIGHT)
        for kind, colour in _COLOURS.items():
            height = kinds.get(kind, 0) / top * (_HEIGHT - 15)
            y -= height
            drawing.append(
                f'<rect x="{time.x(second)}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
                if height
                else ""
            )
    return "".join(drawing)


def _latencies(found: Iterable[Exchange], time: _Time) -> str:
    seconds: dict[int, list[float]] = defaultdict(list)
    for each in found:
        if each.write:
            seconds[time.second(each.at)].append(each.took)
    median = {second: sorted(times)[len(times) // 2] for second, times in seconds.items()}
    high = {second: sorted(times)[int(len(times) * 0.99)] for second, times in seconds.items()}
    top = max(high.values(), default=1.0)
    return _scale(top) + _line(median, top, time, "#3a7bd5") + _line(high, top, time, "#c0392b")


def _backlog(events: Iterable[Event], time: _Time) -> str:
    waiting = {
        each.at - time.begin: each.waiting for each in events if isinstance(each, Sample) and each.waiting is not None
    }
    top = max([*waiting.values(), 1])
    return _scale(top) + _line(waiting, top, time, "#3a7bd5")


def _breakers(events: Iterable[Event], time: _Time) -> str:
    samples = [each for each in events if isinstance(each, Sample)]
    names = list(dict.fromkeys(name for each in samples for name in each.breakers))
    drawing = []
    for row, name in enumerate(names):
        drawing.append(f'<text x="0" y="{35 + row * 24}">{escape(name)}</text>')
        for each, following in zip(samples, [*samples[1:], samples[-1]], strict=True):
            x, end = time.x(each.at - time.begin), time.x(following.at - time.begin)
            colour = _STATES.get(each.breakers.get(name, ""), "#ddd")
            drawing.append(f'<rect x="{x}" y="{24 + row * 24}" width="{end - x:.1f}" height="14" fill="{colour}"/>')
    return "".join(drawing)


def _line(points: Mapping[int, float] | Mapping[float, int], top: float, time: _Time, colour: str) -> str:
    places = " ".join(f"{time.x(x)},{_HEIGHT - y / top * (_HEIGHT - 15):.1f}" for x, y in sorted(points.items()))
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _scale(top: float) -> str:
    label = f"{top:,.0f}" if top >= 10 else f"{top:.2g}"
    axis = f'<line x1="{_LEFT}" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}" stroke="#ccc"/>'
    return f'<text x="0" y="15">{label}</text><text x="0" y="{_HEIGHT}">0</text>{axis}'


def _violation(each: Violation) -> str:
    lines = "\n".join(encode(event) for event in each.events)
    title = f"<h3 class=bad>{escape(each.rule)}: {escape(each.text)}</h3>"
    return f"{title}<p>The rule: {escape(RULES[each.rule])}.</p><pre>{escape(lines)}</pre>"
