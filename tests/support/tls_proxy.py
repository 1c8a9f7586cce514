"""TLS in front of a real server that has none: PostgreSQL, Valkey and RabbitMQ as wheels and packages come without."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from .polling import WAIT
from .streams import end, listening

# PostgreSQL, 54.7: a client asks in eight bytes whether it may go on by TLS, or by GSSAPI.
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
_REQUEST_LENGTH = 8


class TlsProxy:
    """port: where it listens. greeted: connections whose TLS handshake has succeeded."""

    def __init__(self, target: tuple[str, int], context: ssl.SSLContext, *, postgres: bool) -> None:
        self.port = 0
        self.greeted = 0
        self._target = target
        self._context = context
        self._postgres = postgres
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(WAIT), "the proxy does not listen"

    def stop(self) -> None:
        assert self._over is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.set_exception_handler(lambda _loop, _context: None)  # refused handshakes are what is tested
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        early = None if self._postgres else self._context
        async with listening(self._meet, tls=early) as self.port:
            self._ready.set()
            await self._over.wait()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._postgres:
                while await reader.readexactly(_REQUEST_LENGTH) != _SSL_REQUEST:
                    writer.write(b"N")
                writer.write(b"S")
                await writer.start_tls(self._context)
            self.greeted += 1
            there, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                await end(back)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@contextmanager
def tls_proxy(url: str, context: ssl.SSLContext, scheme: str) -> Iterator[tuple[str, TlsProxy]]:
    """The URL of the same server behind TLS, with this scheme."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    proxy = TlsProxy((parts.hostname, parts.port), context, postgres=scheme == "postgresql")
    proxy.start()
    user = parts.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(parts._replace(scheme=scheme, netloc=f"{user}@127.0.0.1:{proxy.port}".lstrip("@"))), proxy
    finally:
        proxy.stop()
