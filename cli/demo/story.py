"""The story: writes, an outage, more writes, a read from the cache, recovery, and the proof."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import httpx
from rich.console import Console
from rich.progress import track

from cli.stack.handle import Stack

from .client import Client, Written

_EACH = 200
_PATIENCE = 120.0


def tell(stack: Stack, console: Console) -> bool:
    """Play it on a running stack and say whether all came out right. PostgreSQL runs again at the end in any case."""
    with Client(stack.url("api"), f"demo-{int(time.time())}") as client:
        try:
            return _tell(stack, client, console)
        finally:
            stack.start("postgres")


def _tell(stack: Stack, client: Client, console: Console) -> bool:
    console.rule(f"1. All is well: {_EACH} records are written")
    before = _write(client, console, range(_EACH))

    console.rule("2. PostgreSQL is killed (SIGKILL)")
    stack.kill("postgres")
    console.print("It is gone, and stays down.")

    console.rule(f"3. {_EACH} more are written, with no database")
    during = _write(client, console, range(_EACH, 2 * _EACH))

    console.rule("4. A record of before the outage is read")
    read = client.read(before[0].location)
    _show_read(console, read)

    console.rule("5. PostgreSQL is started, and the backlog drains")
    stack.start("postgres")
    states = _drain(client, console, [written.job for written in during if written.job])

    console.rule("6. The proof, by counting")
    return _prove(console, client, before, during, read, states)


def _write(client: Client, console: Console, numbers: range) -> list[Written]:
    begun = time.monotonic()
    written = [client.create(number) for number in track(numbers, "writing", console=console)]
    seconds = time.monotonic() - begun
    answers = ", ".join(f"{count} × {_phrase(status)}" for status, count in _counted(w.status for w in written))
    console.print(f"{answers}, {1000 * seconds / len(written):.1f} ms each, the last at {written[-1].location}")
    return written


def _show_read(console: Console, read: httpx.Response) -> None:
    console.print(f"{_phrase(read.status_code)} {read.text}")
    for name in ("Age", "Cache-Status"):
        console.print(f"{name}: {read.headers.get(name, 'none')}")


def _drain(client: Client, console: Console, jobs: list[str]) -> Counter[str]:
    begun = time.monotonic()
    settled = client.settled(jobs, timeout=_PATIENCE)
    states = Counter(track(settled, "settling", total=len(jobs), console=console))
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    console.print(f"{len(jobs)} jobs: {counts}, in {time.monotonic() - begun:.1f} s")
    return states


def _prove(
    console: Console,
    client: Client,
    before: list[Written],
    during: list[Written],
    read: httpx.Response,
    states: Counter[str],
) -> bool:
    records = list(client.records())
    numbers = Counter(record["data"]["number"] for record in records)
    facts = {
        f"{_EACH} writes were answered 201 Created": [w.status for w in before] == [httpx.codes.CREATED] * _EACH,
        f"{_EACH} writes were answered 202 Accepted, each with a job": len({w.job for w in during} - {None}) == _EACH,
        "the read came from the cache and said so": "detail=store-unavailable" in read.headers.get("Cache-Status", ""),
        f"{_EACH} jobs succeeded": states == {"succeeded": _EACH},
        f"{len(records)} records are there, each of {2 * _EACH} once": numbers == Counter(range(2 * _EACH)),
        "each has version 1": {record["version"] for record in records} == {1},
    }
    for fact, holds in facts.items():
        console.print(f"[green]✓[/] {fact}" if holds else f"[red]✗[/] not so: {fact}")
    return all(facts.values())


def _counted(statuses: Iterable[int]) -> list[tuple[int, int]]:
    return sorted(Counter(statuses).items())


def _phrase(status: int) -> str:
    return f"{status} {httpx.codes.get_reason_phrase(status)}"
