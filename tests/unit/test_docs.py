"""What the documentation names is there: settings, commands, targets, files."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click

from adapters.settings.load import unknown
from adapters.settings.variables import variables
from cli.main import main

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").rglob("*.md"))]
# What only the local stack, the tests, the tools or a client reads.
OTHERS = re.compile(r"HOLDFAST_(STACK_\w+|\w+_PORT|API_KEY|CHAOS_KEY|REQUIRE_ALL|TEST_\w+)$")
FOLDERS = "adapters|api|bench|chaos|cli|deploy|docs|holdfast|loadtest|tests|worker"


def named(pattern: str) -> Iterator[tuple[str, str]]:
    """Page, and what it names."""
    for page in PAGES:
        for name in set(re.findall(pattern, page.read_text(), re.MULTILINE)):
            yield str(page), name


def test_every_setting_that_is_named_exists() -> None:
    compose = "".join(path.read_text() for path in [Path("docker-compose.yml"), *Path("deploy").rglob("*.*")])
    known = set(variables())
    wrong = [
        (page, name)
        for page, name in named(r"\bHOLDFAST_[A-Z_]+[A-Z]\b(?![*…_])")
        if name not in known and name not in compose and not OTHERS.match(name)
    ]
    assert wrong == []


def test_a_program_warns_of_nothing_that_the_example_of_an_env_file_offers() -> None:
    offered = dict.fromkeys(re.findall(r"^#?(HOLDFAST_\w+)=", Path(".env.example").read_text(), re.MULTILINE), "1")
    assert "HOLDFAST_TAG" in offered
    assert unknown(offered) == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
    assert [each for each in named(r"(?:^|`)make ([a-z-]+)") if each[1] not in targets] == []


def test_every_module_that_is_run_exists() -> None:
    wrong = [each for each in named(r"python -m ([a-z_.]+[a-z])") if not importlib.util.find_spec(each[1])]
    assert wrong == []


def test_every_command_of_holdfast_that_is_named_exists() -> None:
    assert [each for each in named(r"(?:`|^|/)holdfast ([a-z]+(?: [a-z]+)?)") if not _command(each[1])] == []


def _command(words: str) -> bool:
    first, _, second = words.partition(" ")
    command = main.commands.get(first)
    return second in ("", *command.commands) if isinstance(command, click.Group) else command is not None


def test_every_file_that_is_named_exists() -> None:
    wrong = [
        (page, path)
        for page, path in named(rf"`((?:{FOLDERS})/[\w./-]+)`")
        if "NAME" not in path and not Path(path).exists()
    ]
    assert wrong == []
