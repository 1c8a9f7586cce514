"""A job's changes as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from holdfast.errors import Rejected, Transient
from holdfast.operations.model import Job

from ..representations import encode, job

RECONNECT_AFTER = 2.0
HEARTBEAT = 15.0


async def events(
    changes: AsyncIterator[Job], stopping: asyncio.Event, *, heartbeat: float = HEARTBEAT
) -> AsyncGenerator[bytes]:
    """One event for each change, and a comment after `heartbeat` seconds without one, so that proxies keep it open.

    Ends when the job is settled, when the process is to end, or when the ledger cannot be asked: a client reconnects.
    """
    stop = asyncio.ensure_future(stopping.wait())
    change = asyncio.ensure_future(_next(changes))
    try:
        yield b"retry: %d\n\n" % (RECONNECT_AFTER * 1000)
        while True:
            await asyncio.wait((change, stop), timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                news = change.result()
                if news is None:
                    return
                yield event(news)
                change = asyncio.ensure_future(_next(changes))
            elif stop.done():
                return
            else:
                yield b": nothing new\n\n"
    finally:
        stop.cancel()
        change.cancel()
        await asyncio.gather(stop, change, return_exceptions=True)


async def _next(changes: AsyncIterator[Job]) -> Job | None:
    try:
        return await anext(changes, None)
    except (Transient, Rejected):
        return None


def event(change: Job) -> bytes:
    return b"id: %s\nevent: job\ndata: %s\n\n" % (event_id(change), encode(job(change)))


def event_id(change: Job) -> bytes:
    """An id that stays while the job does: to a client that comes back with it, there is nothing new to tell."""
    return f"{change.state.value}-{change.attempts}".encode()
