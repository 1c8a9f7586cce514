"""Answers as the framework sends them, and its own errors as problem details."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from ..answers import JSON, NOT_STORED, Answer, Header
from ..problems import INVALID, METHOD, UNKNOWN_PATH, HttpProblem, invalid_all
from ..records.target import read_query
from ..representations import encode

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_PLACES = {"query": "parameter", "path": "path", "header": "header", "body": "pointer"}


def reply(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    length = [] if answer.status == 204 else [(b"content-length", b"%d" % len(answer.body))]
    response.raw_headers = answer.headers + length
    return response


def json_reply(value: Any, *more: Header, status: int = 200) -> Response:
    """An answer that is true now and not to be kept."""
    return reply(Answer(status, [JSON, NOT_STORED, *more], encode(value)))


def no_query(request: Request) -> None:
    """A dependency of routes that know no parameters: one that is sent is a mistake worth telling."""
    read_query(request.scope["query_string"], ())


def add_problems(app: FastAPI) -> None:
    """Have the framework's own errors answered as problem details. Others go to the edge."""

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        return reply(_not_served(app, request, error))

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, error: RequestValidationError) -> Response:
        return reply(invalid_all(_place(each) for each in error.errors()).answer())


def _not_served(app: FastAPI, request: Request, error: HTTPException) -> Answer:
    if error.status_code == 404:
        return HttpProblem(UNKNOWN_PATH, f"There is nothing at {request.url.path[:200]}.").answer()
    if error.status_code != 405:
        return HttpProblem(INVALID, str(error.detail)).answer()
    methods = _methods(app, request)
    allow = (b"allow", ", ".join(methods).encode())
    if request.method == "OPTIONS":
        return Answer(204, [allow])
    return HttpProblem(METHOD, f"Allowed here: {', '.join(methods)}.", headers=[allow]).answer()


def _methods(app: FastAPI, request: Request) -> list[str]:
    """All methods of the path; the framework names those of one route only."""
    found = [method for method in _METHODS if _is_served(app, {**request.scope, "method": method})]
    return sorted([*found, "OPTIONS", *(["HEAD"] if "GET" in found else [])])


def _is_served(app: FastAPI, scope: dict[str, Any]) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)


def _place(error: dict[str, Any]) -> dict[str, str]:
    where, *path = error["loc"]
    name = "/".join(str(part) for part in path)
    place = f"#/{name}" if where == "body" and name else name or "#"
    return {"detail": f"{place}: {error['msg']}", _PLACES.get(where, "path"): place}
