"""The pages on failover: every example in them runs, or at least compiles where it needs a server."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

PAGES = ("provider-failover", "endpoint-failover", "load-balancing", "health-checks", "discovery")
FOLDER = Path(__file__).parents[2] / "docs" / "patterns"


def examples(page: str) -> list[tuple[str, CodeType]]:
    blocks = re.findall(r"^```python\n(.*?)^```", (FOLDER / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return [(block, compile(block, page, "exec", flags=flags)) for block in blocks]


@pytest.mark.parametrize("page", PAGES)
async def test_the_examples_of_a_page_run_in_their_order(page: str) -> None:
    names: dict[str, Any] = {"__name__": page}
    for text, code in examples(page):
        if "# needs a server" in text:
            continue
        # A block with an await in it is a coroutine.
        result = eval(code, names)
        if result is not None:
            await result


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([\w-]+\.md)", (FOLDER / f"{page}.md").read_text())
    assert [link for link in links if not (FOLDER / link).exists()] == []
