"""Servers for health checks to find well or ill."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast.failover import Endpoint
from tests.support.streams import Answer, listening


@asynccontextmanager
async def server(
    answer: Answer, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    """A TCP server that answers each connection so."""
    async with listening(answer, address, tls=tls) as port:
        yield Endpoint("a", address, port)


def http(status: str, seen: list[bytes] | None = None) -> Answer:
    """Read one request and answer with this status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        body = await reader.readexactly(length)
        if seen is not None:
            seen.append(head + body)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())
        await writer.drain()

    return answer
