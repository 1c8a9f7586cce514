"""The least of an HTTP/1.1 client: one request at a time on one kept connection, and exact about what was sent.

A client library costs ten times as much of the machine that the system under test shares with us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit


class NotSent(Exception):
    """There was no connection: the request has not left."""


class NoAnswer(Exception):
    """The request was sent, at least in part, and no whole answer came."""


class Reply(NamedTuple):
    """headers: names in lower case; the last one of a name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """To one server; made anew when it breaks, closed when it is left. timeout: seconds for a whole request.

    url: with a user, `http://KEY@host`, that is sent as a bearer token.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "localhost", parts.port or 80
        self._own = [f"host: {self._host}:{self._port}"]
        self._own += [f"authorization: Bearer {unquote(parts.username)}"] if parts.username else []
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        timeout: float | None = None,
    ) -> Reply:
        """timeout: for this request, if another. Raises NotSent or NoAnswer."""
        lines = [f"{method} {path} HTTP/1.1", *self._own]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(body)}")
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                reader, writer = await self._connected()
                return await self._exchange(reader, writer, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            sent = self._streams is not None
            self.close()
            raise (NoAnswer if sent else NotSent)(type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        return self._streams

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Reply:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head[:-4].split("\r\n")
        status = int(first.split(" ", 2)[1])
        fields = (line.partition(":") for line in rest)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        if "transfer-encoding" in headers:
            raise ValueError("an answer without a length")
        body = await reader.readexactly(int(headers.get("content-length", 0))) if status not in (204, 304) else b""
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(status, headers, body)
