"""A line for each request that is answered."""

from __future__ import annotations

import logging
import time
from typing import Any

from .answers import Message, Receive, Scope, Send
from .edge import App
from .route import route_of

log = logging.getLogger(__name__)

_JOB = b"/v1/jobs/"


class AccessLog:
    """An ASGI application around another. Tells the route, not the path, which holds names of records."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        told: dict[str, Any] = {"status": 0}  # where the client leaves before its answer

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.update(_answered(message))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            method, route = scope["method"], route_of(scope) or "nowhere"
            told |= {"method": method, "route": route, "duration": round(time.perf_counter() - began, 6)}
            log.info("%s %s %d", method, route, told["status"], extra=told)


def _answered(start: Message) -> dict[str, Any]:
    """What the log says of an answer: its status, and the id of the operation if it was held."""
    job = next((value for name, value in start["headers"] if name == b"location" and value.startswith(_JOB)), None)
    held = {} if job is None else {"operation_id": job.removeprefix(_JOB).decode()}
    return {"status": start["status"], **held}
