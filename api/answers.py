"""What goes back to a client: a status, header lines as the server writes them, and a body."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
PROBLEM: Header = (b"content-type", b"application/problem+json")
REVALIDATE: Header = (b"cache-control", b"no-cache")
NOT_STORED: Header = (b"cache-control", b"no-store")


class Answer(NamedTuple):
    """What a client is to be sent. headers: names in lower case, `content-length` left to `send_answer`."""

    status: int
    headers: list[Header]
    body: bytes = b""


async def send_answer(answer: Answer, send: Send, *, head: bool = False) -> None:
    """Send the answer, with its length. head: the request was a HEAD, so the body itself stays here."""
    status, headers, body = answer
    if status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def retry_after(seconds: float) -> Header:
    """Whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3)."""
    return (b"retry-after", b"%d" % max(1, math.ceil(seconds)))
