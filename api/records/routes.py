"""Answers every request under `/v1/records/`."""

from __future__ import annotations

import asyncio
import time

from adapters.keys_file import READ, WRITE
from holdfast.clock import Clock
from holdfast.errors import OutcomeUnknown, Overloaded
from holdfast.operations.jobs import Jobs
from holdfast.operations.model import Resource
from holdfast.operations.read import Reader
from holdfast.operations.write import Writer

from ..answers import Answer, Header, Receive, Scope, Send, send_answer
from ..measures import Measures
from ..negotiation import collect
from ..principal import Admit
from ..problems import METHOD, HttpProblem, problem_of
from ..rates import REMARKS
from ..route import route_of
from ..waiting import Places, Waiting
from .body import Disconnected
from .limits import Limits
from .reading import Reads
from .target import read_path, read_query
from .writing import PATCH_BODY, Writes

_ON_A_COLLECTION: Header = (b"allow", b"GET, HEAD, OPTIONS, POST")
_ON_A_RECORD: Header = (b"allow", b"DELETE, GET, HEAD, OPTIONS, PATCH, PUT")
_ACCEPT_PATCH: Header = (b"accept-patch", b", ".join(PATCH_BODY))
_SECONDS_UNTIL_A_PLACE_IS_FREE = 1.0


class Records:
    """An ASGI application. Refuses at once what is beyond `requests`, and whom `admit` does not let in."""

    def __init__(
        self, reads: Reads, writes: Writes, *, admit: Admit, limits: Limits, requests: Places, measures: Measures
    ) -> None:
        self._admit = admit
        self._reads = reads
        self._writes = writes
        self._limits = limits
        self._requests = requests
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        try:
            answer = await self._bounded(scope, receive)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - the outermost place of a request
            problem = problem_of(error)
            self._measures.problems[problem.kind.slug] += 1
            answer = problem.answer()
        except asyncio.CancelledError:
            await send_answer(_cut_short(scope), send)
            raise
        if REMARKS in scope:
            answer.headers.extend(scope[REMARKS])
        self._measures.add(route_of(scope), scope["method"], answer.status, time.perf_counter() - began)
        await send_answer(answer, send, head=scope["method"] == "HEAD")

    async def _bounded(self, scope: Scope, receive: Receive) -> Answer:
        if not self._requests.take():
            raise Overloaded("too many requests at the same time", _SECONDS_UNTIL_A_PLACE_IS_FREE)
        try:
            return await self._answer(scope, receive)
        finally:
            self._requests.give_back()

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        collection, id_ = read_path(scope["raw_path"], longest=self._limits.id)
        method = scope["method"]
        headers = collect(scope["headers"])
        if method in ("GET", "HEAD"):
            self._admit(scope, headers, READ, collection)
            if id_ is None:
                return await self._reads.page(collection, scope["query_string"])
            return await self._reads.one(Resource(collection, id_), headers, scope["query_string"])
        allowed = _ON_A_COLLECTION if id_ is None else _ON_A_RECORD
        if method not in (("POST",) if id_ is None else ("PUT", "PATCH", "DELETE")):
            return _other_method(method, allowed)
        asker = self._admit(scope, headers, WRITE, collection)
        read_query(scope["query_string"], ())
        return await self._writes.answer(asker.principal, method, collection, id_, headers, receive)


def _other_method(method: str, allowed: Header) -> Answer:
    if method == "OPTIONS":
        return Answer(204, [allowed, _ACCEPT_PATCH] if b"PATCH" in allowed[1] else [allowed])
    raise HttpProblem(METHOD, f"Allowed here: {allowed[1].decode()}.", headers=[allowed])


def _cut_short(scope: Scope) -> Answer:
    """The process ends before the request is done."""
    keyed = b"idempotency-key" in dict(scope["headers"])
    is_write = scope["method"] not in ("GET", "HEAD", "OPTIONS")
    return problem_of(OutcomeUnknown("the process ends"), keyed=keyed if is_write else None).answer()


def records(
    writer: Writer,
    reader: Reader,
    jobs: Jobs,
    *,
    admit: Admit,
    limits: Limits,
    requests: Places,
    waiting: Waiting,
    measures: Measures,
    clock: Clock,
) -> Records:
    return Records(
        Reads(reader, limits, clock),
        Writes(writer, jobs, limits, requests=requests, waiting=waiting, clock=clock),
        admit=admit,
        limits=limits,
        requests=requests,
        measures=measures,
    )
