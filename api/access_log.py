"""A line for each request that is answered."""

from __future__ import annotations

import logging
import time

from .answers import Message, Receive, Scope, Send
from .edge import App
from .route import route_of

log = logging.getLogger(__name__)


class AccessLog:
    """An ASGI application around another. Tells the route, not the path, which holds names of records."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            _tell(scope, status, time.perf_counter() - began)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """status: 0 where the client left before its answer."""
    route, method = route_of(scope) or "nowhere", scope["method"]
    found = {"method": method, "route": route, "status": status, "duration": round(seconds, 6)}
    log.info("%s %s %d", method, route, status, extra=found)
