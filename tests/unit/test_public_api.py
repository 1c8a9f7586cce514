"""The public face of the library: its names are these, each is documented, and every example does what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import pytest

import holdfast
import holdfast.breaker
import holdfast.pipelines

PUBLIC = {
    "holdfast": """
        Abandoned AdaptiveLimit Aimd Backoff BreakerOptions Bulkhead BulkheadFull CallOutcome Chaos Check CircuitBreaker
        CircuitOpen ConcurrencyManager Event Fallback Gradient HealthRegistry Hedge HoldfastError Listener
        OutcomeUnknown Overloaded Partitioned Permanent Pipeline Policy Rate RateLimited RateLimiter Rejected Retry
        RetryBudget RetryResult StaleOnError StaleResult State Throttled TimedOut Timeout Transient Unavailable Verdict
        abandon_after abandon_thread_after compose constant exponential fan_out linear parse_retry_after remaining
        semaphore
    """,
    "holdfast.breaker": "BreakerOptions CircuitBreaker Failure Permit Snapshot State Verdict classify",
    "holdfast.pipelines": "Advice Configuration ConfigurationError Pipelines Step advise",
    "holdfast.timeout": "Timeout abandon_after abandon_thread_after deadline remaining timeout",
}
NAMES = [(package, name) for package, names in PUBLIC.items() for name in names.split()]
PACKAGES = (holdfast, holdfast.breaker, holdfast.pipelines)
HOMES = ["holdfast", "holdfast.breaker", "holdfast.pipelines"] + [
    f"{package.__name__}.{module.name}"
    for package in PACKAGES
    for module in pkgutil.iter_modules(package.__path__)
    if not module.ispkg
]


def examples_of(home: str) -> str:
    """All that the examples of a module say."""
    found = doctest.DocTestFinder().find(importlib.import_module(home))
    return "\n".join(example.source + example.want for test in found for example in test.examples)


def home_of(value: object) -> str:
    return value.__module__ if isinstance(value, type) or inspect.isfunction(value) else "holdfast.events"


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names_are_these(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == PUBLIC[package].split() == module.__all__
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_public_name_is_documented_and_has_an_example(package: str, name: str) -> None:
    value = getattr(importlib.import_module(package), name)
    if name != "Listener":
        assert inspect.getdoc(value)
    assert re.search(rf"\b{name}\b", examples_of(home_of(value)))


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_public_method_is_documented(package: str, name: str) -> None:
    value = getattr(importlib.import_module(package), name)
    if not isinstance(value, type) or value.__module__.startswith("holdfast.errors"):
        return
    undocumented = [
        member
        for member, found in vars(value).items()
        if not member.startswith("_") and inspect.isfunction(found) and not inspect.getdoc(found)
    ]
    assert undocumented == []


@pytest.mark.parametrize("home", HOMES)
def test_the_examples_do_what_they_say(home: str) -> None:
    module = importlib.import_module(home)
    assert doctest.testmod(module, extraglobs={"__name__": home}).failed == 0


def test_the_patterns_need_nothing_but_the_standard_library() -> None:
    program = f"""
import sys
import {", ".join(HOMES)}
ours = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(ours - set(sys.stdlib_module_names) - {{"holdfast", "__main__"}}))
"""
    run = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.')\n{program}"],
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert ast.literal_eval(run.stdout) == []
