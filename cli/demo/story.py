"""The story: writes, an outage, more writes, a read from the cache, recovery, and the proof."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.progress import track

from cli.stack.handle import Stack

from .client import Client, Written

_EACH = 200
_PATIENCE = 120.0
_DATABASES = {"postgres": "PostgreSQL", "mongo": "MongoDB"}


def tell(stack: Stack, console: Console) -> bool:
    """Play it on a running stack and say whether all came out right. The database runs again at the end in any case."""
    with Client(stack.url("api"), f"demo-{int(time.time())}") as client:
        try:
            return _tell(stack, client, console)
        finally:
            stack.start("store")


def _tell(stack: Stack, client: Client, console: Console) -> bool:
    console.rule(f"1. All is well: {_EACH} records are written")
    before = _write(client, console, range(_EACH))

    database = _DATABASES[stack.store()]
    console.rule(f"2. {database} is killed (SIGKILL)")
    stack.kill("store")
    console.print("It is gone, and stays down.")

    console.rule(f"3. {_EACH} more are written, with no database")
    during = _write(client, console, range(_EACH, 2 * _EACH))

    console.rule("4. A record of before the outage is read")
    read = client.read(before[0].location)
    _show_read(console, read)

    console.rule(f"5. {database} is started, and the backlog drains")
    stack.start("store")
    states = _drain(client, console, jobs(before) + jobs(during))

    console.rule("6. The proof, by counting")
    cache_status = read.headers.get("Cache-Status", "")
    return judge(console, facts(Seen(before, during, cache_status, states, list(client.records()))))


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


def _drain(client: Client, console: Console, held: list[str]) -> Counter[str]:
    begun = time.monotonic()
    settled = client.settled(held, timeout=_PATIENCE)
    states = Counter(track(settled, "settling", total=len(held), console=console))
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    console.print(f"{len(held)} jobs: {counts}, in {time.monotonic() - begun:.1f} s")
    return states


@dataclass(frozen=True)
class Seen:
    """What the demo has seen. states: of all jobs; records: of the whole collection, at the end."""

    before: list[Written]
    during: list[Written]
    cache_status: str
    states: Counter[str]
    records: list[dict[str, Any]]


def facts(seen: Seen, each: int = _EACH) -> dict[str, bool]:
    """What should be so, and whether it is."""
    numbers = Counter(record["data"]["number"] for record in seen.records)
    acknowledged = [written for written in seen.before if written.status in (httpx.codes.CREATED, httpx.codes.ACCEPTED)]
    held = set(jobs(seen.during))
    return {
        f"{each} writes were acknowledged before the outage": len(acknowledged) == each,
        f"{each} writes were answered 202 Accepted during it, each with a job of its own": len(held) == each,
        "the read came from the cache and said so": "detail=store-unavailable" in seen.cache_status,
        "every job succeeded": seen.states == {"succeeded": len(jobs(seen.before)) + len(held)},
        f"each of the {2 * each} records is there, once": numbers == Counter(range(2 * each)),
        "each has version 1": {record["version"] for record in seen.records} == {1},
    }


def jobs(written: list[Written]) -> list[str]:
    """The jobs of those writes that were held; on a busy machine, some of before the outage can be among them."""
    return [write.job for write in written if write.job]


def judge(console: Console, proof: dict[str, bool]) -> bool:
    """Show each fact, and say whether all hold."""
    for fact, holds in proof.items():
        console.print(f"[green]✓[/] {fact}" if holds else f"[red]✗[/] not so: {fact}")
    return all(proof.values())


def _counted(statuses: Iterable[int]) -> list[tuple[int, int]]:
    return sorted(Counter(statuses).items())


def _phrase(status: int) -> str:
    return f"{status} {httpx.codes.get_reason_phrase(status)}"
