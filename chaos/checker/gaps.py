"""Finds operations that can have made the versions which nobody is known to have made.

An operation comes after all that was acknowledged before it was sent, and before all that was sent after it was
acknowledged itself; that gives it a range of versions. Each gap, from the lowest, takes the operation whose range ends
first among those whose range has begun: earliest deadline first, which finds an assignment whenever there is one.

The order among these operations themselves needs no further care. If A was acknowledged before B was sent, then A's
range begins and ends no later than B's. So where an assignment has the two the wrong way round, each may take the
other's version, and there is an assignment in order whenever there is any.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import accumulate, count
from typing import NamedTuple

from .model import Operation, Resource

_FOR_EVER = float("inf")


class Range(NamedTuple):
    """The versions that an operation can have made. certain: it did make one."""

    low: int
    high: int
    certain: bool
    operation: Operation


def newest_before(resource: Resource, versions: Mapping[Operation, int]) -> dict[Operation, Operation | None]:
    """For each operation, the one with the newest version of those acknowledged before it was sent."""
    position, newest, found = 0, None, dict[Operation, Operation | None]()
    for operation in resource.operations:
        while position < len(resource.promised) and resource.promised[position].event.at < operation.first.at:
            candidate, void = resource.promised[position].operation, resource.promised[position].void
            if not void and versions.get(candidate, 0) > (versions[newest] if newest else 0):
                newest = candidate
            position += 1
        found[operation] = newest
    return found


def oldest_after(resource: Resource, versions: Mapping[Operation, int]) -> dict[Operation, float]:
    """For each acknowledged operation, the oldest version made by those that were sent afterwards."""
    sent = [operation.first.at for operation in resource.operations]
    own = [versions.get(operation, _FOR_EVER) for operation in reversed(resource.operations)]
    oldest = [*reversed(list(accumulate(own, min))), _FOR_EVER]
    position, found = 0, dict[Operation, float]()
    for promise in resource.promised:
        while position < len(sent) and sent[position] <= promise.event.at:
            position += 1
        if not promise.void:
            found[promise.operation] = oldest[position]
    return found


def match(gaps: Sequence[int], ranges: Sequence[Range]) -> tuple[list[int], list[Operation]]:
    """The gaps that nobody can fill, and the operations that fill none. Both arguments ascend."""
    waiting: list[tuple[int, bool, int, Operation]] = []
    empty: list[int] = []
    left: list[Operation] = []
    position, number = 0, count()
    for gap in gaps:
        while position < len(ranges) and ranges[position].low <= gap:
            _, high, certain, operation = ranges[position]
            heapq.heappush(waiting, (high, not certain, next(number), operation))
            position += 1
        while waiting and waiting[0][0] < gap:
            left.append(heapq.heappop(waiting)[-1])
        if waiting:
            heapq.heappop(waiting)
        else:
            empty.append(gap)
    return empty, left + [one[-1] for one in waiting] + [one.operation for one in ranges[position:]]
