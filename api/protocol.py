"""One HTTP connection, bounded: how large a head may be, how long a request may take to arrive and an answer to leave.

uvicorn's own protocol bounds none of these; what it refuses by itself is answered as a problem here too.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .answers import Header
from .problems import HEAD_TOO_LARGE, INVALID, TARGET_TOO_LONG, TOO_SLOW, HttpProblem
from .transport import JoiningTransport

LONGEST_TARGET = 8_192
LARGEST_HEAD = 32_768
MOST_FIELDS = 100
MOST_THROWN_AWAY = 33_554_432
SECONDS_TO_ARRIVE = 30.0
SECONDS_TO_LEAVE = 30.0
SECONDS_TO_HEAR = 5.0


class BoundedProtocol(HttpToolsProtocol):
    """A connection of uvicorn's httptools server. Have `check` called every second or so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving_since: float | None = self.loop.time()
        self._received = 0
        self._in_head = True
        self._unsent = 0
        self._unsent_since = 0.0
        self._trouble: HttpProblem | None = None
        self._refused_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, JoiningTransport(transport, self.loop)))

    def check(self, now: float) -> None:
        """End what has taken too long. now: the loop's time."""
        if self._refused_at is not None:
            if now - self._refused_at > SECONDS_TO_HEAR:
                self.transport.close()
        elif self._arriving_since is not None and now - self._arriving_since > SECONDS_TO_ARRIVE:
            detail = f"The request did not arrive whole within {SECONDS_TO_ARRIVE:g} seconds."
            self._refuse(HttpProblem(TOO_SLOW, detail))
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif now - self._unsent_since > SECONDS_TO_LEAVE:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._refused_at is None:
            if self._arriving_since is None:
                self._arriving_since = self.loop.time()
            super().data_received(data)
            if self._in_head and self._received > LARGEST_HEAD + len(data):
                self._refuse(_head_too_large())
        if self._received > MOST_THROWN_AWAY and self._is_answered():
            self.transport.close()

    def shutdown(self) -> None:
        super().shutdown()
        if self._refused_at is not None:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        if self._arriving_since is None:
            self._arriving_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.url) > LONGEST_TARGET:
            self._stop_because(HttpProblem(TARGET_TOO_LONG, f"It may have at most {LONGEST_TARGET} bytes."))
        if _size(self.headers) > LARGEST_HEAD:
            self._stop_because(_head_too_large())
        if len(self.headers) > MOST_FIELDS:
            self._stop_because(HttpProblem(HEAD_TOO_LARGE, f"There may be at most {MOST_FIELDS} of them."))
        super().on_headers_complete()
        self._in_head = False
        self.headers = _NoMore()

    def on_message_complete(self) -> None:
        self._arriving_since = None
        self._received = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's own words say no more
        self._refuse(self._trouble or HttpProblem(INVALID, "This is not a request of HTTP/1.1."))

    def _stop_because(self, trouble: HttpProblem) -> None:
        """Called by the parser, which turns whatever is raised into a call of `send_400_response`."""
        self._trouble = trouble
        raise ValueError(trouble.detail)

    def _refuse(self, problem: HttpProblem) -> None:
        """Answer, then hear the client out for a while: closing on what it still sends would destroy the answer."""
        told = bool(self._received) and self._is_awaiting_an_answer()
        if not self._is_answered():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if told:
            self.transport.write(_raw(problem, self.server_state.default_headers))
        if told and self.transport.can_write_eof():  # not through TLS, which has no half of a connection
            self.transport.write_eof()
            self.flow.resume_reading()
            self._refused_at = self.loop.time()
        else:
            self.transport.close()

    def _is_answered(self) -> bool:
        """Whether the last request whose head has come is answered, or there was none yet."""
        cycle: RequestResponseCycle | None = vars(self)["cycle"]  # uvicorn declares it as never None
        return cycle is None or cycle.response_complete or cycle.disconnected

    def _is_awaiting_an_answer(self) -> bool:
        """Whether the next bytes to be sent are those for the request that is arriving."""
        if self.transport.is_closing() or self.pipeline:
            return False
        if self._in_head:
            return self._is_answered()
        return not self.cycle.response_started


class _NoMore(list[Header]):
    """Lines after the head (trailers) go nowhere: nobody reads them, and they may come without end."""

    def append(self, _line: Header) -> None:
        pass


def _size(headers: list[Header]) -> int:
    return sum([len(name) + len(value) for name, value in headers])


def _head_too_large() -> HttpProblem:
    return HttpProblem(HEAD_TOO_LARGE, f"They may have at most {LARGEST_HEAD} bytes.")


def _raw(problem: HttpProblem, more: list[Header]) -> bytes:
    status, headers, body = problem.answer()
    lines = [*more, *headers, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % line for line in lines)
    return STATUS_LINE[status] + head + b"\r\n" + body
