"""Reads are as new as what was told before, or say that they are not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from .effects import Effects
from .model import Operation, Read, Resource
from .rules import Violation, violation


def check_reads(resource: Resource, effects: Effects) -> Iterator[Violation]:
    """A read that says it is stale may show any version that there was (`Places` has looked at what it shows)."""
    newest = _newest(resource, effects)
    for read in resource.reads:
        yield from _check_cached(read)
        if read.answer.stale or read.answer.status not in (200, 404):
            continue
        told, event = read.told
        if _older(read, told, effects):
            text = f"{_shown(read)} of {resource.name} was read after somebody was told of version {told}"
            yield violation("stale", text, [event, read.invoke, read.answer])
        elif read.promised and not (read.answer.pending or read.answer.unknown):
            version, operation = newest[read.promised - 1]
            if operation is not None and _older(read, version, effects):
                text = (
                    f"{_shown(read)} of {resource.name} was read after {operation} was accepted, without a word on it"
                )
                yield violation("hidden", text, [*operation.evidence, read.invoke, read.answer])


def _check_cached(read: Read) -> Iterator[Violation]:
    seen, before = read.answer.seen, read.cached
    if read.answer.stale and seen is not None and before is not None and seen.version < before.version:
        text = f"the cache showed version {seen.version} of {seen.resource} after it had shown version {before.version}"
        yield violation("cache", text, [before.event, read.invoke, read.answer])


def _newest(resource: Resource, effects: Effects) -> list[tuple[int, Operation | None]]:
    """After each promise, the newest version promised so far."""
    kept = ((one.operation, 0 if one.void else effects.versions.get(one.operation, 0)) for one in resource.promised)
    promised = [(version, operation) for operation, version in kept]
    start: tuple[int, Operation | None] = (0, None)
    return list(accumulate(promised, lambda best, one: one if one[0] > best[0] else best, initial=start))[1:]


def _older(read: Read, version: int, effects: Effects) -> bool:
    """Whether the record had reached `version`, and this read does not show it or anything newer."""
    seen = read.answer.seen
    if seen is None:
        return not effects.can_be_absent(version, read.answer.at)
    return seen.version < version


def _shown(read: Read) -> str:
    return f"version {read.answer.seen.version}" if read.answer.seen is not None else "the absence"
