"""The outermost ASGI application: hot routes by themselves, all others to the framework, and the process's life."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from .answers import Header, Message, Receive, Scope, Send, send_answer
from .measures import Measures
from .negotiation import collect
from .principal import ASKER, Admit
from .problems import HttpProblem, problem_of
from .rates import REMARKS
from .records.body import Disconnected
from .records.routes import Records
from .records.target import PREFIX
from .route import route_of
from .scopes import required_scope

log = logging.getLogger(__name__)

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Edge:
    """The ASGI application of the API.

    records:      answers all under `/v1/records/`; asks `admit` itself.
    others:       the framework, for all other routes.
    admit:        who may ask these.
    start, close: of what it serves from; neither raises because a dependency is away.
    """

    def __init__(
        self,
        records: Records,
        others: App,
        *,
        admit: Admit,
        monitoring_is_open: bool,
        measures: Measures,
        start: Callable[[], Awaitable[None]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._records = records
        self._others = others
        self._admit = admit
        self._monitoring_is_open = monitoring_is_open
        self._measures = measures
        self._start = start
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["raw_path"].startswith(PREFIX):
                await self._records(scope, receive, send)
            else:
                await self._framework(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._others(scope, receive, send)

    async def _framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        method = scope["method"]
        sending = _Sending(send, head=method == "HEAD")
        try:
            self._let_in(scope)
        except HttpProblem as refused:
            self._measures.problems[refused.kind.slug] += 1
            await send_answer(refused.answer(), sending)
        else:
            sending.remarks = scope.get(REMARKS, [])
            scope = _as_get(scope) if method == "HEAD" else scope
            await self._others(scope, receive, sending)
        self._measures.add(route_of(scope) or "other", method, sending.status, time.perf_counter() - began)

    def _let_in(self, scope: Scope) -> None:
        needed = required_scope(scope["method"], scope["path"], monitoring_is_open=self._monitoring_is_open)
        if needed is not None:
            scope[ASKER] = self._admit(scope, collect(scope["headers"]), needed, None)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})


class Problems:
    """Middleware of the framework: an error that nobody answered is answered as a problem."""

    def __init__(self, app: App, measures: Measures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = _Sending(send)
        try:
            await self._app(scope, receive, sending)
        except Disconnected:
            return
        except Exception as error:
            if sending.status or scope["type"] != "http":
                raise
            problem = problem_of(error)
            self._measures.problems[problem.kind.slug] += 1
            await send_answer(problem.answer(), send)


class _Sending:
    """Remembers the status, adds remarks, and keeps the body of an answer to HEAD back."""

    __slots__ = ("_head", "_send", "remarks", "status")

    def __init__(self, send: Send, *, head: bool = False) -> None:
        self._send = send
        self._head = head
        self.remarks: list[Header] = []
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.remarks:
                message = {**message, "headers": [*message["headers"], *self.remarks]}
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)


def _as_get(scope: Scope) -> Scope:
    """The framework answers HEAD as GET; a stream of events would never end."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
    return {**scope, "method": "GET", "headers": headers}
