"""A run as it goes, and what is said of it."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .figures import Figures, quantile
from .shapes import Phase, phase_at
from .truth import Truth

_COLUMNS = ("phase", "seconds", "requests", "per second", "errors", "held", "p50", "p95", "p99")
_GREEN, _RED = "#c5e1a5", "#e57373"


@dataclass(slots=True)
class Run:
    """phases: of the shape. by_phase: figures, in the same order. wrong: of records. breaches: of limits."""

    phases: Sequence[Phase]
    by_phase: list[Figures] = field(default_factory=list)
    all: Figures = field(default_factory=Figures)
    wrong: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    _change: Callable[..., Any] | None = None
    _began: float = 0.0
    _down: bool = False
    _changing: Any = None

    def begin(self, phases: Sequence[Phase], change: Callable[..., Any]) -> None:
        """change: takes the store away or brings it back, and can be joined."""
        self.phases, self.by_phase, self.all = phases, [Figures() for _ in phases], Figures()
        self.wrong, self.breaches = [], []
        self._change, self._began = change, time.monotonic()

    def reach(self, at: float) -> None:
        """That second of the run has come."""
        found = phase_at(self.phases, at)
        self._make(down=found is not None and found[0].store_down)

    def end(self) -> None:
        """Whatever was broken is mended when this returns."""
        self._make(down=False)
        if self._changing is not None:
            self._changing.get()

    def count(self, response_time: float, exception: Exception | None, response: Any = None, **_: Any) -> None:
        """A request is over."""
        held = getattr(response, "status_code", 0) == 202
        found = phase_at(self.phases, time.monotonic() - self._began)
        index = self.phases.index(found[0]) if found else len(self.phases) - 1
        for figures in (self.all, *self.by_phase[index : index + 1]):
            figures.add(response_time, failed=exception is not None, held=held)

    def _make(self, *, down: bool) -> None:
        if down != self._down and self._change is not None:
            if self._changing is not None:
                self._changing.get()
            self._down, self._changing = down, self._change(down=down)


def summary(run: Run, truth: Truth) -> str:
    """For a terminal."""
    lines = ["", "  ".join(f"{name:>10}" for name in _COLUMNS)]
    lines += ["  ".join(f"{cell:>10}" for cell in row) for row in _rows(run)]
    return "\n".join([*lines, "", *_words(run, truth), ""])


def add_to_page(page: Path, run: Run, truth: Truth) -> None:
    """Put the phases and the verdict at the top of Locust's own report."""
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in _rows(run))
    words = "".join(f"<li>{html.escape(line)}</li>" for line in _words(run, truth))
    section = (
        f"<section style='font: 14px sans-serif; margin: 2em'>{_strip(run.phases)}"
        f"<table cellpadding='6' style='border-collapse: collapse; text-align: right'><tr>{head}</tr>{rows}</table>"
        f"<ul>{words}</ul></section>"
    )
    text = page.read_text()
    before, body, after = text.partition("<body>")
    page.write_text(f"{before}{body}{section}{after}")


def _rows(run: Run) -> list[list[str]]:
    total = sum(phase.seconds for phase in run.phases)
    named = [(phase.name, phase.seconds, figures) for phase, figures in zip(run.phases, run.by_phase, strict=True)]
    return [_row(*each) for each in (*named, ("all", total, run.all))]


def _row(name: str, seconds: float, figures: Figures) -> list[str]:
    times = [f"{figures.quantile(share) * 1000:.0f} ms" for share in (0.5, 0.95, 0.99)]
    counts = [str(figures.requests), f"{figures.requests / seconds:.0f}", str(figures.errors), str(figures.held)]
    return [name, f"{seconds:.0f}", *counts, *times]


def _words(run: Run, truth: Truth) -> list[str]:
    held = len(truth.delays)
    p95, p99 = (quantile(truth.delays, share) for share in (0.95, 0.99))
    lines = [
        f"{truth.acknowledged()} writes took effect in {len(truth.records)} records, {held} of them were held",
        f"from accepted to settled: p95 {p95:.1f} s, p99 {p99:.1f} s",
    ]
    lines += [f"BEYOND ITS LIMIT {breach}" for breach in run.breaches]
    lines += [f"WRONG {text}" for text in run.wrong[:20]]
    if len(run.wrong) > 20:
        lines.append(f"WRONG and {len(run.wrong) - 20} more")
    if not run.wrong:
        lines.append("no write was lost, and none took effect twice")
    return lines


def _strip(phases: Sequence[Phase]) -> str:
    """The phases in their order, each as wide as it is long."""
    cells = "".join(
        f"<div style='flex: {phase.seconds:g}; padding: 4px; background: {_RED if phase.store_down else _GREEN}'>"
        f"{html.escape(phase.name)}</div>"
        for phase in phases
    )
    return f"<div style='display: flex; gap: 2px; margin-bottom: 1em'>{cells}</div>"
