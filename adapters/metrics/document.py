"""`python -m adapters.metrics.document` writes `docs/reference/metrics.md`, which is made from the families."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from .families import EVERY, FAMILIES, Family

# The heading that begins with each family.
_HEADINGS = {
    "http_server_request_duration_seconds": "Requests",
    "holdfast_call_duration_seconds": "Store, ledger and cache",
    "holdfast_breaker_state": "Breakers",
    "holdfast_ledger_known": "Held operations",
    "holdfast_doorbell_keys_total": "Doorbells, sweeps, workers",
    "holdfast_cache_reads_total": "Answers from the cache and from replicas",
    "holdfast_event_loop_lag_seconds": "Processes",
}

_PAGE = """\
# Metrics

Every metric that the programs show to Prometheus at `/metrics`. How to collect and read them:
[monitor](../how-to/monitor.md). The terms: [words](words.md).

Each process counts for itself, from its start: take `sum(rate(…))` over all processes. A worker shows the sums of its
child processes. What is marked **ledger** is counted in the ledger, in the step in which it happens. Every process
shows the same value of it, and it survives every process: take `max(…)` over processes, never the sum.

A histogram has the series `_bucket`, `_count` and `_sum`. Durations are in seconds.
"""

_COLUMNS = "| metric | type | labels | told by | meaning |\n| --- | --- | --- | --- | --- |\n"

_END = """
API and sweeper also tell `process_*` and `python_gc_*`, as the client library of Prometheus knows them; the worker
tells `process_*` of itself and its children together.

This page is made from the code: `python -m adapters.metrics.document`.
"""


def page() -> str:
    return _PAGE + "".join(_lines()) + _END


def _lines() -> Iterator[str]:
    for family in FAMILIES:
        if family.name in _HEADINGS:
            yield f"\n## {_HEADINGS[family.name]}\n\n{_COLUMNS}"
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {labels} | {_told_by(family)} | {family.text} |\n"


def _told_by(family: Family) -> str:
    if family.shared:
        return "**ledger**: " + ", ".join(family.programs)
    return "all" if family.programs == EVERY else ", ".join(family.programs)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    Path("docs/reference/metrics.md").write_text(page(), encoding="utf-8")
