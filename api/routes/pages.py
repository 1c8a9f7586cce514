"""The page behind a problem's `type`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from ..answers import REVALIDATE, Answer, Header
from ..documents import others as docs
from ..problems import KINDS, NOT_FOUND, HttpProblem
from .replies import no_query, reply

_MARKDOWN: Header = (b"content-type", b"text/markdown; charset=utf-8")
_PACKAGE = Path(__file__).parent.parent
# In a wheel the pages lie in the package, in a checkout among the other pages.
_FOLDERS = (_PACKAGE / "problem_pages", _PACKAGE.parent / "docs" / "problems")


def router() -> APIRouter:
    routes = APIRouter(tags=["problems"], dependencies=[Depends(no_query)])

    @routes.get("/problems/{slug}", **docs.PROBLEM_PAGE)
    def problem_page(slug: Annotated[str, docs.SLUG]) -> Response:
        """What a problem means and what to do about it."""
        if slug not in KINDS:
            raise HttpProblem(NOT_FOUND, f"There is no problem type {slug[:100]}.")
        return reply(Answer(200, [_MARKDOWN, REVALIDATE], page(slug)))

    return routes


def page(slug: str) -> bytes:
    for folder in _FOLDERS:
        file = folder / f"{slug}.md"
        if file.is_file():
            return file.read_bytes()
    kind = KINDS[slug]
    return f"# {kind.title}\n\n`{kind.type}`, status {kind.status}.\n".encode()
