"""The page behind a problem's `type`, and the one to try the API on."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

from ..answers import REVALIDATE, Answer, Header
from ..documents import others as docs
from ..problems import KINDS, NOT_FOUND, HttpProblem
from .replies import no_query, reply

_HTML: Header = (b"content-type", b"text/html; charset=utf-8")
_NOT_FRAMED: Header = (b"x-frame-options", b"DENY")
_MARKDOWN: Header = (b"content-type", b"text/markdown; charset=utf-8")
_PACKAGE = Path(__file__).parent.parent
# In a wheel the pages lie in the package, in a checkout among the other pages.
_FOLDERS = (_PACKAGE / "problem_pages", _PACKAGE.parent / "docs" / "problems")
# The script takes the place of what stands in its element.
_EMPTY = b'<div id="swagger-ui">\n'
_FALLBACK = b"""<div id="swagger-ui">
<p>If nothing more appears, this browser cannot load Swagger UI from cdn.jsdelivr.net; what it would show is
<a href="openapi.json">openapi.json</a>.</p>
"""


def router() -> APIRouter:
    routes = APIRouter(tags=["problems"], dependencies=[Depends(no_query)])

    @routes.get("/problems/{slug}", **docs.PROBLEM_PAGE)
    def problem_page(slug: Annotated[str, docs.SLUG]) -> Response:
        """What a problem means and what to do about it."""
        if slug not in KINDS:
            raise HttpProblem(NOT_FOUND, f"There is no problem type {slug[:100]}.")
        return reply(Answer(200, [_MARKDOWN, REVALIDATE], page(slug)))

    shown = bytes(get_swagger_ui_html(openapi_url="openapi.json", title="Holdfast").body).replace(_EMPTY, _FALLBACK)
    policy: Header = (b"content-security-policy", _policy(shown))

    @routes.get("/docs", include_in_schema=False)
    def try_it() -> Response:
        return reply(Answer(200, [_HTML, REVALIDATE, policy, _NOT_FRAMED], shown))

    return routes


def _policy(html: bytes) -> bytes:
    """Only the script that stands in the page, and Swagger's own."""
    script = re.search(rb"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[1] if script else b"").digest())
    return (
        b"default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
        b"style-src 'unsafe-inline' https://cdn.jsdelivr.net; script-src https://cdn.jsdelivr.net 'sha256-%s'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'" % digest
    )


def page(slug: str) -> bytes:
    for folder in _FOLDERS:
        file = folder / f"{slug}.md"
        if file.is_file():
            return file.read_bytes()
    kind = KINDS[slug]
    return f"# {kind.title}\n\n`{kind.type}`, status {kind.status}.\n".encode()
