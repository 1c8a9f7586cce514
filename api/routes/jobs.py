"""Jobs: poll one, wait for it, follow it, cancel it; list them and retry a dead one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from adapters.keys_file import Key
from adapters.logs import about
from holdfast.errors import Overloaded
from holdfast.operations.jobs import Jobs
from holdfast.operations.model import Job, State

from ..answers import Receive, Scope, Send, retry_after
from ..documents import others as docs
from ..documents.examples import JOB_ID
from ..negotiation import LONGEST_WAIT, wants_event_stream
from ..principal import ASKER, sees
from ..problems import NOT_CANCELLABLE, NOT_FOUND, NOT_RETRIABLE, HttpProblem, invalid
from ..representations import job as shown
from ..waiting import Waiting
from .events import event_id, events
from .replies import json_reply, no_query

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JobId = Annotated[str, Path(description="The job's id, as a `202` gave it.", examples=[JOB_ID])]
_SECONDS_BETWEEN_POLLS = 1.0


class JobQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wait: float = Field(
        0,
        ge=0,
        le=LONGEST_WAIT,
        allow_inf_nan=False,
        description="Seconds to wait for the job to be settled before it is answered as it is then.",
    )


class JobsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    state: State | None = Field(None, description="Only jobs in this state.")
    cursor: str | None = Field(
        None,
        max_length=1000,
        description="The `next_cursor` of the page before.",
        json_schema_extra={"anyOf": [{"type": "string", "format": "job-cursor", "maxLength": 1000}]},
    )
    limit: int = Field(100, ge=1, le=1000, description="The most jobs of a page.")


def router(jobs: Jobs, waiting: Waiting) -> APIRouter:
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    _add_asking(routes, jobs, waiting)
    _add_deciding(routes, jobs)
    return routes


def _add_asking(routes: APIRouter, jobs: Jobs, waiting: Waiting) -> None:
    @routes.get("", **docs.LIST_JOBS)
    async def list_jobs(query: Annotated[JobsQuery, Query()]) -> Response:
        """Every job that does not change its state meanwhile comes exactly once, in no promised order."""
        try:
            page, cursor = await jobs.page(state=query.state, cursor=query.cursor, limit=query.limit)
        except ValueError:
            raise invalid("cursor: not one that was given out here", parameter="cursor") from None
        return json_reply({"items": [shown(each) for each in page], "next_cursor": cursor})

    @routes.get("/{id}", **docs.GET_JOB)
    async def get_job(id: JobId, query: Annotated[JobQuery, Query()], request: Request) -> Response:  # noqa: A002
        """A held operation and what became of it. Ask for `text/event-stream` to be told of every change."""
        if wants_event_stream(request.headers.get("accept", "").encode("latin-1")):
            return await _follow(jobs, waiting, id, request)
        found = await _get(jobs, id, request)
        if query.wait and not found.state.settled:
            found = await _waited(jobs, waiting, found, query.wait, request)
        later = () if found.state.settled else (retry_after(_SECONDS_BETWEEN_POLLS),)
        return json_reply(shown(found), *later)


def _add_deciding(routes: APIRouter, jobs: Jobs) -> None:
    @routes.delete("/{id}", dependencies=[Depends(no_query)], **docs.CANCEL_JOB)
    async def cancel_job(id: JobId, request: Request) -> Response:  # noqa: A002
        """Take back an operation that has surely not been applied."""
        await _get(jobs, id, request)
        cancelled = await jobs.cancel(id)
        if cancelled.job is None:
            raise _no_job(id)
        if not cancelled.done:
            raise HttpProblem(NOT_CANCELLABLE, f"The job is {cancelled.job.state}, or its operation may have happened.")
        return json_reply(shown(cancelled.job))

    @routes.post("/{id}/retry", dependencies=[Depends(no_query)], **docs.RETRY_JOB)
    async def retry_job(id: JobId) -> Response:  # noqa: A002
        """Have a dead operation tried again. One that is waiting already stays as it is."""
        found = await jobs.retry(_checked(id))
        if found is None:
            raise _no_job(id)
        if found.state.settled:
            raise HttpProblem(NOT_RETRIABLE, f"The job is {found.state}.")
        return json_reply(shown(found))


async def _get(jobs: Jobs, job_id: str, request: Request) -> Job:
    """Somebody else's job is as good as none: that it exists is told to nobody."""
    found = await jobs.get(_checked(job_id))
    asker: Key = request.scope[ASKER]
    if found is None or not sees(asker, found):
        raise _no_job(job_id)
    return found


async def _waited(jobs: Jobs, waiting: Waiting, job: Job, seconds: float, request: Request) -> Job:
    """The job when it is settled or the time is up; as it is now where no more may wait."""
    job_id = job.operation.id
    if not waiting.take():
        return job
    try:
        found = await waiting.for_(jobs.wait(job_id, seconds=seconds), request.receive)
    finally:
        waiting.give_back()
    return found or await _get(jobs, job_id, request)


async def _follow(jobs: Jobs, waiting: Waiting, job_id: str, request: Request) -> Response:
    found = await _get(jobs, job_id, request)
    if found.state.settled and request.headers.get("last-event-id", "").encode() == event_id(found):
        return Response(status_code=204)  # the one answer after which an EventSource does not come back
    if not waiting.take():
        raise Overloaded("too many requests are waiting", retry_after=_SECONDS_BETWEEN_POLLS)
    return _Followed(events(jobs.watch(job_id), waiting.stopping), waiting)


class _Followed(StreamingResponse):
    """Gives its place back however it ends, and even if nothing of it was ever sent."""

    def __init__(self, stream: AsyncGenerator[bytes], waiting: Waiting) -> None:
        super().__init__(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._stream = stream
        self._waiting = waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._waiting.give_back()
            await self._stream.aclose()


def _checked(job_id: str) -> str:
    if not _ID.fullmatch(job_id):
        raise _no_job(job_id)
    about(job_id)
    return job_id


def _no_job(job_id: str) -> HttpProblem:
    return HttpProblem(NOT_FOUND, f"There is no job {job_id[:100]}, or it was settled too long ago.")
