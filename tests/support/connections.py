"""The edge behind a real listening socket in this process, and raw connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from api.protocol import BoundedProtocol
from api.server import Server, config, listen
from tests.support.polling import WAIT, until
from tests.support.service import Service, service


class Listening:
    """service: what is served. port: where. server: uvicorn's."""

    def __init__(self, served: Service, port: int, server: Server) -> None:
        self.service = served
        self.port = port
        self.server = server
        self.url = f"http://127.0.0.1:{port}"

    @property
    def connections(self) -> list[BoundedProtocol]:
        return [each for each in self.server.server_state.connections if isinstance(each, BoundedProtocol)]

    def let_time_pass(self, seconds: float) -> None:
        """Have every connection checked as it will be in so many seconds."""
        for connection in self.connections:
            connection.check(connection.loop.time() + seconds)


@asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[Listening]:
    async with service(**settings) as served:
        listener = listen("127.0.0.1", 0)
        server = Server(config(served.app, 30.0), served.waiting.stop)
        running = asyncio.ensure_future(server.serve([listener]))
        await until(lambda: server.started)
        try:
            yield Listening(served, listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, WAIT)


class Connection:
    """Raw bytes out, answers in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, fields, body."""
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), WAIT)).decode()
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(line.split()[1]), headers, body

    async def end(self) -> bytes:
        """What still comes until the server closes the connection."""
        return await asyncio.wait_for(self._reader.read(), WAIT)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
