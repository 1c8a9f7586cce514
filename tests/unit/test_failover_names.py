"""The public face of failover: its names, its types, and the examples in its documentation."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast.failover as failover

MODULES = [module.name for module in pkgutil.walk_packages(failover.__path__, "holdfast.failover.")]

TYPED = """
from typing import Protocol, assert_type

from holdfast.failover import Execution, Failed, Failover, Provider, Succeeded, functions, in_thread, sync_functions


class Mail(Protocol):
    async def send(self, to: str, *, text: str = "") -> int: ...
    async def bounced(self) -> list[str]: ...
    def ping(self) -> float: ...


class Good:
    async def send(self, to: str, *, text: str = "") -> int: return 1
    async def bounced(self) -> list[str]: return []
    def ping(self) -> float: return 1.0


class Bad:
    async def send(self, to: int) -> int: return 1


async def one(number: int) -> str: return ""
async def two(number: int) -> str: return ""
def three(number: int) -> bytes: return b""


async def use() -> None:
    mail = Failover[Mail]("mail", [Provider(Good())])
    send = mail.method(Mail.send)
    assert_type(await send("ann", text="hello"), int)
    assert_type(await send.only("a").execute("ann"), Execution[int])
    assert_type(await send.prefer("a").any("ann"), Execution[int])
    assert_type(await send.in_region("EU").all("ann"), list[Succeeded[int] | Failed])
    assert_type(await mail.method(Mail.bounced)(), list[str])
    assert_type(mail.sync_method(Mail.ping)(), float)
    assert_type(await functions("f", one, two)(1), str)
    assert_type(sync_functions("f", three)(1), bytes)
    assert_type(await functions("f", in_thread(three))(1), bytes)
    await send(7)  # wrong: 1
    await send("ann", "hello")  # wrong: 2
    await functions("f", one)("1")  # wrong: 3
    mail.method()  # wrong: 4
    Failover[Mail]("mail", [Provider(Bad())])  # wrong: 5
"""


def test_the_public_names_are_these() -> None:
    assert sorted(failover.__all__) == failover.__all__
    assert set(failover.__all__) == {
        name for name, value in vars(failover).items() if not name.startswith("_") and not hasattr(value, "__path__")
    } - {module.rpartition(".")[2] for module in MODULES}


def test_every_public_name_is_documented() -> None:
    undocumented = [
        name
        for name in failover.__all__
        if isinstance(getattr(failover, name), type) and not getattr(failover, name).__doc__
    ]
    assert undocumented == []


def test_every_public_name_has_an_example() -> None:
    modules = [importlib.import_module(name) for name in [*MODULES, "holdfast.errors"]]
    examples = [
        example for module in modules for test in doctest.DocTestFinder().find(module) for example in test.examples
    ]
    shown = set(re.findall(r"\w+", " ".join(example.source + example.want for example in examples)))
    assert set(failover.__all__) - shown == set()


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_do_what_they_say(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_a_type_checker_sees_through_it_and_finds_each_wrong_line(tmp_path: Path) -> None:
    path = tmp_path / "use.py"
    path.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--hide-error-context", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = {int(line.split(":")[1]) for line in found.splitlines() if ": error:" in line}
    wrong = {number for number, line in enumerate(TYPED.splitlines(), 1) if "# wrong" in line}
    assert lines == wrong, found
