"""The process around the application: one listening socket, uvicorn, signals, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from adapters.assembly import assemble
from adapters.keys_file import KeysFile
from adapters.metrics import from_thread, push_of
from adapters.settings import Settings

from .access_log import AccessLog
from .app import make_app
from .edge import App
from .protocol import BoundedProtocol
from .route import route_of
from .waiting import Waiting

log = logging.getLogger(__name__)

_BACKLOG = 2048
# Longer than the idle time of common load balancers (60 s), so that it is not us who close under a request.
_KEEP_ALIVE = 75
_TICKS_BETWEEN_CHECKS = 10
# On every answer: a browser takes the content type at its word, and comes back by TLS only (RFC 6797).
_NOT_GUESSED = ("x-content-type-options", "nosniff")
_ONLY_TLS = ("strict-transport-security", "max-age=31536000")
_NO_KEYS = """\
HOLDFAST_API_HOST={host} can be reached from elsewhere, and without keys anybody there may read and write everything.
Make a key with `holdfast keys create --file FILE ...` and set HOLDFAST_KEYS_FILE=FILE,
or set HOLDFAST_OPEN=anywhere if a gateway of yours knows who asks."""


class CannotListen(Exception):
    """The address cannot be had; the text says which and why."""


class NeedsKeys(Exception):
    """The address can be reached from elsewhere, and nobody would be asked for a key; the text says what to do."""


def listen(host: str, port: int, *, only_loopback: bool = False) -> socket.socket:
    """A listening socket. port: 0 for any free one. Raises CannotListen, and NeedsKeys where only loopback is safe."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}: {error.strerror}; set HOLDFAST_API_HOST") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        if only_loopback and not ip_address(found.getsockname()[0].partition("%")[0]).is_loopback:
            found.close()
            raise NeedsKeys(_NO_KEYS.format(host=host))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        text = f"cannot listen on {host} port {port}: {error.strerror}; set HOLDFAST_API_HOST or HOLDFAST_API_PORT"
        raise CannotListen(text) from error
    found.setblocking(False)
    return found


async def serve(settings: Settings, listener: socket.socket, keys: KeysFile | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then end in order: no new requests, those in flight answered, writes kept."""
    waiting = Waiting(settings.max_requests)
    system = assemble(settings)
    app: App = make_app(system, settings, waiting, keys=keys)
    if settings.access_log == "on":
        app = AccessLog(app)
    app = system.traced(app, route_of)
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.api_tls_cert_file is None else "https"
    log.info("serving on %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)
    server = Server(
        config(app, settings.shutdown_grace, settings.api_tls_cert_file, settings.api_tls_key_file), waiting.stop
    )
    push = push_of(os.environ, "api", from_thread(system.render_metrics))
    await server.serve([listener])
    if push is not None:
        await asyncio.to_thread(push.close)
    log.info("ended")


def config(app: App, grace: float, cert: Path | None = None, key: Path | None = None) -> uvicorn.Config:
    """How uvicorn serves. grace: seconds for requests in flight at the end. cert, key: PEM files, for TLS."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        headers=[_NOT_GUESSED] if cert is None else [_NOT_GUESSED, _ONLY_TLS],
        ssl_certfile=cert,
        ssl_keyfile=key,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(grace),
    )


class Server(uvicorn.Server):
    """uvicorn's server, which looks after its connections. stop: called as the end begins, before they are told."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_BETWEEN_CHECKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.check(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, except that a signal that was obeyed is not raised again: the process ends with 0."""
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
