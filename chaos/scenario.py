"""Scenarios: what breaks, when and for how long, each in one small TOML file.

    text = "The store is killed under load, and started again."
    duration = 20                # seconds of load
    allow = ["superseded"]       # rules of the checker that this may break, none by default

    [expect]                     # what must have happened while something was broken, or it proves nothing
    accepted = 10                # writes answered 202; also: applied, refused (503), stale (reads from the cache),
                                 # ledger_lost (the system told that its ledger came back empty)

    [[step]]
    fault = "kill"
    target = "store"             # `postgres` is for what only PostgreSQL has
    at = 4                       # seconds from the start
    lasts = 8                    # seconds
    times = 1                    # how often, every `every` seconds
    every = 0
    until = ["accepted"]         # it lasts, the last time, until as much of this was seen as is expected, but no minute
                                 # longer: a run on a slow machine proves as much as one on a quick one

What else stands in a step is the fault's own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .checker import RULES
from .errors import ScenarioError

_HERE = Path(__file__).parent / "scenarios"
EXPECTATIONS = ("accepted", "applied", "refused", "stale", "ledger_lost")


@dataclass(frozen=True, slots=True)
class Step:
    """options: the fault's own, such as `latency`."""

    fault: str
    target: str
    at: float = 0.0
    lasts: float = 0.0
    times: int = 1
    every: float = 0.0
    until: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.fault} {self.target}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """settings: HOLDFAST_… variables of the system. replicas: how many of each program run, 1 or 2."""

    name: str
    text: str
    duration: float
    steps: Sequence[Step]
    allow: Sequence[str] = ()
    expect: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    settle_within: float = 60.0
    replicas: int = 1

    def fits(self, store: str) -> bool:
        """Whether it breaks something that is there with this store, or nothing at all."""
        return not self.steps or any(there(step.target, store) for step in self.steps)

    def fitting(self, store: str) -> Scenario:
        """Without the steps that break what only another store has."""
        return replace(self, steps=[step for step in self.steps if there(step.target, store)])

    def lasting(self, seconds: float) -> Scenario:
        """The same scenario, stretched or shortened to `seconds` in all; less is expected of it in less time."""
        scale = seconds / self.duration
        expect = {name: max(1, int(wanted * min(scale, 1))) for name, wanted in self.expect.items()}
        return replace(self, duration=seconds, steps=[_scaled(step, scale) for step in self.steps], expect=expect)


def there(target: str, store: str) -> bool:
    """Whether a system on this store has what a step breaks."""
    return target != "postgres" or store == "postgres"


def names() -> list[str]:
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def load(name: str) -> Scenario:
    """One of ours, or the file of that name. Raises ScenarioError."""
    path = Path(name) if name.endswith(".toml") else _HERE / f"{name}.toml"
    if not path.exists():
        raise ScenarioError(f"there is no scenario {name!r}; `python -m chaos list` shows them")
    try:
        return parse(path.stem, tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: {error}") from error


def parse(name: str, given: Mapping[str, Any]) -> Scenario:
    """Raises ScenarioError."""
    known = {each.name for each in fields(Scenario)} - {"name", "steps"}
    rest = {key: value for key, value in given.items() if key != "step"}
    if wrong := sorted(rest.keys() - known):
        raise ScenarioError(f"{name}: {', '.join(wrong)} is none of {', '.join(sorted(known))} and step")
    if wrong := sorted(set(rest.get("allow", ())) - RULES.keys()):
        raise ScenarioError(f"{name}: {', '.join(wrong)} is no rule of the checker")
    if wrong := sorted(rest.get("expect", {}).keys() - set(EXPECTATIONS)):
        raise ScenarioError(f"{name}: {', '.join(wrong)} is none of {', '.join(EXPECTATIONS)}")
    awaited = {each for step in given.get("step", ()) for each in step.get("until", ())}
    if wrong := sorted(awaited - rest.get("expect", {}).keys()):
        raise ScenarioError(f"{name}: a step lasts until {', '.join(wrong)}, of which nothing is expected")
    try:
        return Scenario(name=name, steps=[_step(each) for each in given.get("step", ())], **rest)
    except TypeError as error:
        raise ScenarioError(f"{name}: {error}") from error


def _step(given: Mapping[str, Any]) -> Step:
    own = {each.name for each in fields(Step)} - {"options"}
    options = {key: value for key, value in given.items() if key not in own}
    return Step(**{key: value for key, value in given.items() if key in own}, options=options)


def _scaled(step: Step, scale: float) -> Step:
    return replace(step, at=step.at * scale, lasts=step.lasts * scale, every=step.every * scale)
