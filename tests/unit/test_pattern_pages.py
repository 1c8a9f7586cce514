"""The pages of the patterns say what the code does."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.adaptive import AdaptiveLimit
from holdfast.breaker import BreakerOptions
from holdfast.bulkhead import Bulkhead
from holdfast.chaos import Chaos
from holdfast.concurrency import ConcurrencyManager
from holdfast.fallback import Fallback
from holdfast.health import Check
from holdfast.hedge import Hedge
from holdfast.partitioned import Partitioned
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.stale import StaleOnError
from holdfast.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = sorted((Path(__file__).parents[2] / "docs" / "patterns").glob("*.md"))
# What every policy takes, or what the page explains in words.
IN_WORDS = {"self", "clock", "rate"}


def options_of(*makers: Callable[..., Any]) -> set[str]:
    return {name for maker in makers for name in inspect.signature(maker).parameters} - IN_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_are_python_and_import_what_there_is(page: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        tree = compile(example, page.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        exec(compile(ast.Module(list(imports), []), page.name, "exec"), {})


OPTIONS = {
    "adaptive-limit": options_of(AdaptiveLimit),
    "breaker": options_of(BreakerOptions),
    "bulkhead": options_of(Bulkhead),
    "chaos": options_of(Chaos),
    "concurrency": options_of(ConcurrencyManager),
    "fallback": options_of(Fallback),
    "health": options_of(Check),
    "hedge": options_of(Hedge),
    "partitioned": options_of(Partitioned),
    "rate-limit": options_of(Rate, RateLimiter),
    "retry": options_of(Retry),
    "stale": options_of(StaleOnError),
    "timeout": options_of(Timeout),
}
TEXTS = {page.stem: page.read_text() for page in PAGES}


@pytest.mark.parametrize("page", [*OPTIONS, "compose", "events"])
async def test_the_examples_of_a_page_run_in_their_order(page: str) -> None:
    names: dict[str, Any] = {"__name__": page, "print": lambda *_: None}
    for example in re.findall(r"```python\n(.*?)```", TEXTS[page], re.DOTALL):
        running = eval(compile(example, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if running is not None:
            await running


@pytest.mark.parametrize("page", OPTIONS)
def test_a_page_has_every_section_that_a_reader_looks_for(page: str) -> None:
    text = TEXTS[page]
    for section in ("\nUse it ", "```python", "```mermaid\nsequenceDiagram", "**Order in a pipeline.**", "**Beware.**"):
        assert section in text, section


# The contents, and what is told in tables or by a diagram of states.
WITHOUT_A_SEQUENCE = {"events", "health-checks", "index", "load-balancing"}


@pytest.mark.parametrize("page", sorted(TEXTS.keys() - WITHOUT_A_SEQUENCE))
def test_a_page_shows_who_calls_whom_when(page: str) -> None:
    assert "```mermaid\nsequenceDiagram" in TEXTS[page]


@pytest.mark.parametrize("page", TEXTS)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([\w./-]+\.md)", TEXTS[page])
    assert [link for link in links if not (PAGES[0].parent / link).exists()] == []


def test_the_page_of_events_names_every_event_with_its_attributes() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]*)\|$", TEXTS["events"], re.MULTILINE)
    told = {name for names, _ in rows for name in re.findall(r"`([\w.]+)`", names)}
    holdfast = Path(__file__).parents[2] / "holdfast"
    homes = [*holdfast.glob("*.py"), *holdfast.glob("breaker/*.py"), *holdfast.glob("failover/**/*.py")]
    emitted = {
        name
        for home in homes
        for name in re.findall(r"(?:Event|_tell|_event)\(\s*\"([a-z_]+\.[a-z_]+)\"", home.read_text())
    }
    assert told == emitted
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in told)


@pytest.mark.parametrize(("page", "options"), OPTIONS.items())
def test_a_page_names_every_option_and_no_other(page: str, options: set[str]) -> None:
    text = next(path for path in PAGES if path.stem == page).read_text()
    table = text.split("| option | ")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == options
