"""The end of a run: every client learns what became of its changes, every job settles, and every record is read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from urllib.parse import quote

from .errors import Unfinished
from .history import Final, History, Seen, is_verdict
from .http import Connection, NoAnswer, NotSent
from .wire import Change
from .workload import Workload

_POLL = 0.1
_AT_ONCE = 8


async def conclude(workload: Workload, history: History, *, within: float) -> None:
    """Bring a healed system to its end.

    One last replace of every record shows the versions of those that were deleted; the records are read before and
    after it. within: seconds for each part. Raises Unfinished where a part did not end in time; jobs that do not settle
    are left to the checker.
    """
    await _resolve(workload, within)
    await _settle(workload, within)
    await _read_all(workload, history, within)
    await _replace_all(workload, within)
    await _settle(workload, within, cancelling=False)
    await _read_all(workload, history, within)


async def _resolve(workload: Workload, within: float) -> None:
    """Half of the clients that gave up ask once more, until they know."""
    undecided = [change for number, change in enumerate(workload.unsure.values()) if number % 2]
    await _until_verdicts(workload, undecided, within)


async def _replace_all(workload: Workload, within: float) -> None:
    tags = [(id_, workload.new_tag()) for id_ in workload.ids]
    changes = [Change("replace", workload.load.collection, id_, tag, key=tag) for id_, tag in tags]
    await _until_verdicts(workload, changes, within)


async def _until_verdicts(workload: Workload, changes: Iterable[Change], within: float) -> None:
    left = list(changes)

    async def ask(connection: Connection) -> None:
        while left:
            change = left.pop()
            found = await workload.send(change, "end", connection)
            if found is None or not is_verdict(found):
                left.append(change)
                await asyncio.sleep(_POLL)

    await _in_time(
        _with_connections(workload, ask), within, lambda: f"no verdict on {len(left)} changes, such as {left[:1]}"
    )


async def _settle(workload: Workload, within: float, *, cancelling: bool = True) -> None:
    """Poll every job until it is settled, or until time is up.

    cancelling: some on the way. The last replaces must happen: nothing else shows the version that a delete has made.
    """

    async def poll(connection: Connection) -> None:
        while workload.unsettled and time.monotonic() < deadline:
            for job in list(workload.unsettled):
                if job in workload.unsettled:
                    await workload.look(job, connection, cancelling=cancelling)
            await asyncio.sleep(_POLL)

    deadline = time.monotonic() + within
    with workload.connection() as connection:
        await poll(connection)


async def _read_all(workload: Workload, history: History, within: float) -> None:
    records: dict[str, Seen] = {}

    async def read(connection: Connection) -> None:
        records.update({seen.resource: seen async for seen in _pages(connection, workload.load.collection)})

    await _in_time(_again_until_answered(workload, read), within, lambda: "the records cannot be listed")
    known = {f"{workload.load.collection}/{id_}" for id_ in workload.ids}
    workload.ids += sorted(resource.rpartition("/")[2] for resource in records.keys() - known)
    for resource in sorted(known | records.keys()):
        history.add(Final(at=time.monotonic(), resource=resource, seen=records.get(resource)))


async def _pages(connection: Connection, collection: str) -> AsyncIterator[Seen]:
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit=500&cursor={quote(cursor)}" if cursor else "?limit=500"
        reply = await connection.request("GET", f"/v1/records/{collection}{query}")
        if reply.status != 200:
            raise NoAnswer(f"status {reply.status}")
        page = json.loads(reply.body)
        for record in page["items"]:
            yield Seen.read(record)
        cursor = page["next_cursor"]


async def _again_until_answered(workload: Workload, work: Callable[[Connection], Awaitable[None]]) -> None:
    with workload.connection() as connection:
        while True:
            try:
                return await work(connection)
            except (NotSent, NoAnswer):
                await asyncio.sleep(_POLL)


async def _with_connections(workload: Workload, work: Callable[[Connection], Awaitable[None]]) -> None:
    connections = [workload.connection() for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*(work(connection) for connection in connections))
    finally:
        for connection in connections:
            connection.close()


async def _in_time(work: Awaitable[None], within: float, missing: Callable[[], str]) -> None:
    try:
        async with asyncio.timeout(within):
            await work
    except TimeoutError as error:
        raise Unfinished(f"after {within:g} s: {missing()}") from error
