"""TCP servers within a test, of which nothing is left at its end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(
    answer: Answer, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Have each connection answered so; give the port.

    A connection that were still there at the end would be closed by the garbage collector, in the middle of another
    test, which fails for it.
    """
    meetings: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meetings[asyncio.current_task()] = writer
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(meet, address, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in filter(None, meetings):
            task.cancel()
        await asyncio.gather(*filter(None, meetings), return_exceptions=True)
        await asyncio.gather(*map(end, meetings.values()))


async def end(writer: asyncio.StreamWriter) -> None:
    """Have its connection gone."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
