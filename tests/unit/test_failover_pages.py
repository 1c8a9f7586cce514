"""The pages on failover: every example in them runs, or at least compiles where it needs a server."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from holdfast.failover import Failover
from holdfast.testing.clock import FakeClock

PAGES = ("provider-failover", "orchestrator", "endpoint-failover", "load-balancing", "health-checks", "discovery")
FOLDER = Path(__file__).parents[2] / "docs" / "patterns"


def examples(page: str) -> list[tuple[str, CodeType]]:
    blocks = re.findall(r"^```python\n(.*?)^```", (FOLDER / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return [(block, compile(block, page, "exec", flags=flags)) for block in blocks]


async def run(page: str) -> dict[str, Any]:
    """Run the examples of a page; what they have defined by its end."""
    names: dict[str, Any] = {"__name__": page}
    for text, code in examples(page):
        if "# needs a server" in text:
            continue
        # A block with an await in it is a coroutine.
        result = eval(code, names)
        if result is not None:
            await result
    return names


@pytest.mark.parametrize("page", PAGES)
async def test_the_examples_of_a_page_run_in_their_order(page: str) -> None:
    assert await run(page)


async def test_the_orchestrator_does_what_its_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else one that the machine kept waiting would not be the quickest any more.
    monkeypatch.setitem(Failover.__init__.__kwdefaults__, "clock", FakeClock())
    names = await run("orchestrator")
    first, again = names["execution"], names["again"]
    assert [(each.provider, each.failover_used) for each in (first, again)] == [("mx", True), ("mx", False)]
    plaid = names["banks"].stats().providers["plaid"]
    assert (plaid.success_rate, plaid.last_error.kind, plaid.breakers["plaid"].state) == (0.0, "unavailable", "open")
    assert json.loads(json.dumps(asdict(names["banks"].stats())))["failover_rate"] == 5 / 6
    assert [(call.args, attempt.provider) for call, attempt in names["trail"][:2]] == [
        (("acc-456",), "plaid"),
        (("acc-456",), "mx"),
    ]
    execution = await names["accounts"].in_region("MX").execute("ann")
    assert (execution.provider, execution.failover_used) == ("belvo", False)
    skipping = await names["transactions"].prefer("plaid").in_region("US").execute("acc-456")
    assert [(each.provider, each.tries) for each in skipping.outcomes] == [("plaid", 0), ("mx", 1)]


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([\w-]+\.md)", (FOLDER / f"{page}.md").read_text())
    assert [link for link in links if not (FOLDER / link).exists()] == []
