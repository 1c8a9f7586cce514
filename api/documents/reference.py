"""`python -m api.documents.reference` writes `docs/reference/calls.md`: every call, from the OpenAPI document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from adapters.assembly import assemble
from adapters.settings import Settings

from ..app import make_app

_METHODS = ("get", "post", "put", "patch", "delete")
_INTRODUCTION = """\
# Every call

Parameters, bodies and answers of each call. [HTTP](http.md) tells what they mean together.

This page is made from the API's own description, `/openapi.json`: `python -m api.documents.reference`.
"""

Part = dict[str, Any]


def page(document: Part) -> str:
    """The document as Markdown."""
    calls = [
        (path, method, item[method], item.get("parameters", []))
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    return _INTRODUCTION + "".join("\n".join(["", *_call(*call), ""]) for call in calls)


async def document() -> Part:
    """The OpenAPI document, as an API with default settings serves it."""
    settings = Settings.model_validate({"store": "memory"})
    transport = httpx.ASGITransport(make_app(assemble(settings), settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://holdfast") as http:
        found: Part = (await http.get("/openapi.json")).json()
    return found


def _call(path: str, method: str, call: Part, shared: list[Part]) -> Iterator[str]:
    yield f"## {call['summary']}"
    yield f"\n`{method.upper()} {path}`"
    if "description" in call:
        yield f"\n{call['description']}"
    parameters = [*shared, *call.get("parameters", [])]
    if parameters:
        yield "\n| parameter | in | meaning |\n| --- | --- | --- |"
        yield from map(_parameter, parameters)
    for media, content in call.get("requestBody", {}).get("content", {}).items():
        yield f"\nBody, `{media}`:"
        yield from _example(content)
    yield "\n| status | meaning | header fields |\n| --- | --- | --- |"
    answers = sorted(call["responses"].items())
    yield from (_answer(*each) for each in answers)
    for status, answer in answers:
        yield from _shown(status, answer)


def _parameter(parameter: Part) -> str:
    name = f"`{parameter['name']}`" + (", required" if parameter.get("required") else "")
    return f"| {name} | {parameter['in']} | {_cell(parameter.get('description', ''))} |"


def _answer(status: str, answer: Part) -> str:
    fields = ", ".join(f"`{name}`" for name in answer.get("headers", {}))
    kinds = [
        f"[{slug}](../problems/{slug}.md)"
        for media, content in answer.get("content", {}).items()
        if media == "application/problem+json"
        for slug in content.get("examples", {})
    ]
    return f"| {status} | {', '.join(kinds) or _cell(answer['description'])} | {fields} |"


def _shown(status: str, answer: Part) -> Iterator[str]:
    """The first example of a good answer."""
    for media, content in answer.get("content", {}).items():
        if status.startswith("2") and media.endswith("json") and content.get("examples"):
            yield f"\n{status}:"
            yield from _example(content)
            return


def _example(content: Part) -> Iterator[str]:
    for example in list(content.get("examples", {}).values())[:1]:
        yield f"\n```json\n{json.dumps(example['value'], indent=2)}\n```"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path("docs/reference/calls.md").write_text(page(asyncio.run(document())))
