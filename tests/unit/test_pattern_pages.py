"""The pages of the patterns say what the code does."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.breaker import BreakerOptions
from holdfast.bulkhead import Bulkhead
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry

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


@pytest.mark.parametrize(
    ("page", "options"),
    [
        ("breaker", options_of(BreakerOptions)),
        ("bulkhead", options_of(Bulkhead)),
        ("rate-limit", options_of(Rate, RateLimiter)),
        ("retry", options_of(Retry)),
    ],
)
def test_a_page_names_every_option_and_no_other(page: str, options: set[str]) -> None:
    text = next(path for path in PAGES if path.stem == page).read_text()
    table = text.split("| option | ")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == options
