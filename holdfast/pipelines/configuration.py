"""A configuration, checked: which policies there are, in which order, with which options.

As TOML, read with `tomllib` (a mapping of the same shape from anywhere else does as well):

    [budgets.store]
    ratio = 0.1

    [[pipelines.orders]]        # the first is the outermost
    policy = "retry"
    attempts = 3
    backoff = { base = 0.1, cap = 2.0 }
    budget = "store"

    [[pipelines.orders]]
    policy = "breaker"
    failure_rate = 0.3
    open_duration = { base = 5.0, cap = 300.0 }     # or a number
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

Options = Mapping[str, Any]

_NUMBER = "a number"
_WHOLE = "a whole number"
_TEXT = "a text"
_SWITCH = "true or false"
_TABLE = "a table"
_WAIT = "a number or a table"

_BACKOFF = {"base": _NUMBER, "cap": _NUMBER, "curve": _TEXT, "factor": _NUMBER, "jitter": _TEXT}
_BUDGET = {"ratio": _NUMBER, "reserve": _NUMBER, "per_second": _NUMBER}
_ALGORITHMS: Mapping[str, Mapping[str, str]] = {
    "aimd": {"slow": _NUMBER, "shrink": _NUMBER},
    "gradient": {
        "tolerance": _NUMBER,
        "headroom": _NUMBER,
        "smoothing": _NUMBER,
        "window": _WHOLE,
        "probe_every": _WHOLE,
        "shrink": _NUMBER,
    },
}
_POLICIES: Mapping[str, Mapping[str, str]] = {
    "retry": {"attempts": _WHOLE, "backoff": _TABLE, "max_wait": _NUMBER, "clamp": _SWITCH, "budget": _TEXT},
    "breaker": {
        "window": _TEXT,
        "window_size": _NUMBER,
        "minimum_calls": _WHOLE,
        "failure_rate": _NUMBER,
        "slow_call_duration": _NUMBER,
        "slow_call_rate": _NUMBER,
        "open_duration": _WAIT,
        "probes": _WHOLE,
        "probe_lease": _NUMBER,
        "probe_successes": _WHOLE,
    },
    "timeout": {"seconds": _NUMBER, "abandon": _SWITCH},
    "bulkhead": {"limit": _WHOLE, "queue": _NUMBER, "max_wait": _NUMBER, "retry_after": _NUMBER},
    "rate_limit": {"limit": _NUMBER, "period": _NUMBER, "burst": _WHOLE, "max_wait": _NUMBER},
    "hedge": {"delay": _NUMBER, "quantile": _NUMBER, "minimum": _WHOLE, "tries": _WHOLE, "budget": _TEXT},
    "adaptive_limit": {
        "algorithm": _TABLE,
        "initial": _WHOLE,
        "smallest": _WHOLE,
        "largest": _WHOLE,
        "queue": _NUMBER,
        "max_wait": _NUMBER,
        "retry_after": _NUMBER,
    },
    "stale": {"max_age": _NUMBER, "fresh_for": _NUMBER, "size": _WHOLE},
    "chaos": {
        "enabled": _SWITCH,
        "latency": _NUMBER,
        "latency_rate": _NUMBER,
        "fault_rate": _NUMBER,
        "seed": _WHOLE,
    },
}
_REQUIRED = {"timeout": ("seconds",), "bulkhead": ("limit",), "rate_limit": ("limit",), "stale": ("max_age",)}
_BACKOFFS = ("backoff", "open_duration")
_EXAMPLES = {
    _NUMBER: "0.5",
    _WHOLE: "3",
    _TEXT: '"store"',
    _SWITCH: "true",
    _TABLE: "{ base = 0.1, cap = 2.0 }",
    _WAIT: "5.0, or { base = 5.0, cap = 300.0 }",
}


class ConfigurationError(ValueError):
    """A configuration is wrong. where: the path to what is wrong, as `pipelines.orders[1].failure_rate`.

    >>> raise ConfigurationError("budgets.store.ratio", "must be a number")
    Traceback (most recent call last):
        ...
    holdfast.pipelines.configuration.ConfigurationError: budgets.store.ratio: must be a number
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Step:
    """One policy of a pipeline.

    where:   its path in the configuration. name: what its events and errors call it; it keeps its state under it.
    options: as they were given, the policy's own only.

    >>> Step("pipelines.orders[0]", "retry", "orders.retry", {"attempts": 3}).options["attempts"]
    3
    """

    where: str
    policy: str
    name: str
    options: Options


@dataclass(frozen=True, slots=True)
class Configuration:
    """budgets: options by name. pipelines: steps by name, the outermost first.

    >>> Configuration.read({"pipelines": {"orders": [{"policy": "breaker"}]}}).pipelines["orders"][0].name
    'orders.breaker'
    """

    budgets: Mapping[str, Options]
    pipelines: Mapping[str, Sequence[Step]]

    @classmethod
    def read(cls, source: Mapping[str, Any]) -> Configuration:
        """Raises ConfigurationError for the first thing that is wrong, with its path, the problem and an example."""
        _known(source, ("budgets", "pipelines"), "")
        budgets, pipelines = _table(source, "budgets"), _table(source, "pipelines")
        for name, options in budgets.items():
            _check(options, _BUDGET, f"budgets.{name}")
        found = {name: _steps(name, steps, budgets) for name, steps in pipelines.items()}
        _tell_apart(step for steps in found.values() for step in steps)
        return cls(budgets, found)


def _steps(pipeline: str, steps: object, budgets: Mapping[str, Options]) -> list[Step]:
    where = f"pipelines.{pipeline}"
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise ConfigurationError(where, 'must be a list of policies, for example [{ policy = "retry" }]')
    return [_step(pipeline, f"{where}[{position}]", step, budgets) for position, step in enumerate(steps)]


def _tell_apart(steps: Iterable[Step]) -> None:
    """Over all pipelines: with dots in names, steps of two can come to one name."""
    names = set[str]()
    for step in steps:
        if step.name in names:
            raise ConfigurationError(step.where, f'another one is called {step.name} already: give it a name = "…"')
        names.add(step.name)


def _step(pipeline: str, where: str, step: object, budgets: Mapping[str, Options]) -> Step:
    if not isinstance(step, Mapping):
        raise ConfigurationError(where, 'must be a table, for example { policy = "retry" }')
    policy = _policy(step, where)
    name = step.get("name", policy)
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{where}.name", f'must be a text, got {name!r}; for example name = "first"')
    options = {key: value for key, value in step.items() if key not in ("policy", "name")}
    _check(options, _POLICIES[policy], where, ("policy", "name"))
    _demand(policy, options, where)
    for option in _BACKOFFS:
        if isinstance(options.get(option), Mapping):
            _check(options[option], _BACKOFF, f"{where}.{option}")
    if "algorithm" in options:
        _check_algorithm(options["algorithm"], f"{where}.algorithm")
    if "budget" in options and options["budget"] not in budgets:
        near = _near(options["budget"], budgets)
        raise ConfigurationError(f"{where}.budget", f"there is no budget {options['budget']!r}{near}")
    return Step(where, policy, f"{pipeline}.{name}", options)


def _policy(step: Options, where: str) -> str:
    policy = step.get("policy")
    if policy is None:
        raise ConfigurationError(f"{where}.policy", f"is missing; one of {', '.join(_POLICIES)}")
    if not isinstance(policy, str) or policy not in _POLICIES:
        raise ConfigurationError(f"{where}.policy", f"there is no {policy!r}{_near(policy, _POLICIES)}")
    return policy


def _check_algorithm(options: Options, where: str) -> None:
    kind = options.get("kind")
    if not isinstance(kind, str) or kind not in _ALGORITHMS:
        raise ConfigurationError(f"{where}.kind", f"must be one of {', '.join(_ALGORITHMS)}, got {kind!r}")
    _check({name: value for name, value in options.items() if name != "kind"}, _ALGORITHMS[kind], where, ("kind",))


def _demand(policy: str, options: Options, where: str) -> None:
    for required in _REQUIRED.get(policy, ()):
        if required not in options:
            example = f"{required} = {_EXAMPLES[_POLICIES[policy][required]]}"
            raise ConfigurationError(f"{where}.{required}", f"is missing; for example {example}")


def _check(options: object, known: Mapping[str, str], where: str, also: Sequence[str] = ()) -> None:
    if not isinstance(options, Mapping):
        raise ConfigurationError(where, f"must be a table, got {options!r}")
    _known(options, (*known, *also), where)
    for name, value in options.items():
        if not _fits(value, known[name]):
            example = f"{name} = {_EXAMPLES[known[name]]}"
            raise ConfigurationError(f"{where}.{name}", f"must be {known[name]}, got {value!r}; for example {example}")


def _fits(value: object, kind: str) -> bool:
    if kind == _SWITCH or isinstance(value, bool):
        return kind == _SWITCH and isinstance(value, bool)
    types: dict[str, type | tuple[type, ...]] = {
        _NUMBER: (int, float),
        _WHOLE: int,
        _TEXT: str,
        _TABLE: Mapping,
        _WAIT: (int, float, Mapping),
    }
    return isinstance(value, types[kind])


def _known(options: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in options:
        if name not in known:
            raise ConfigurationError(f"{where}.{name}".lstrip("."), f"is not known{_near(name, known)}")


def _near(name: object, known: Mapping[str, Any] | Sequence[str]) -> str:
    close = get_close_matches(str(name), list(known), 1)
    return f"; did you mean {close[0]}?" if close else f"; one of {', '.join(known)}" if known else ""


def _table(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = source.get(name, {})
    if not isinstance(found, Mapping):
        raise ConfigurationError(name, f"must be a table, got {found!r}")
    return found
