"""Policies out of their options, and options into policies that are in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..adaptive import AdaptiveLimit, Aimd, Gradient
from ..backoff import Backoff
from ..breaker import BreakerOptions, CircuitBreaker, Verdict
from ..budget import RetryBudget
from ..bulkhead import Bulkhead
from ..chaos import Chaos
from ..clock import Clock
from ..errors import Rejected
from ..events import Listener
from ..hedge import Hedge
from ..policy import ErrorMatch, Policy, matcher
from ..ratelimit import Rate, RateLimiter
from ..retry import Retry
from ..stale import StaleOnError
from ..timeout import Timeout
from .configuration import ConfigurationError, Options, Step


class Means(NamedTuple):
    """What policies are made with, besides their options; `transient` and `classify` as `Pipelines` has them."""

    clock: Clock
    listener: Listener | None
    transient: ErrorMatch
    classify: Callable[[Exception], Verdict]
    budgets: Mapping[str, RetryBudget]


def make(step: Step, means: Means) -> Policy:
    """A new one, with an empty state. Raises ConfigurationError for a value out of its range."""
    try:
        return _MAKERS[step.policy](step, means)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(step.where, str(error)) from error


def adapt(policy: Policy, step: Step, before: Step, means: Means) -> Policy:
    """What `policy`, made of `before`, is by `step`: itself with its state where that can be, or else a new one.

    Nothing of `policy` is changed if this raises ConfigurationError.
    """
    fresh = make(step, means)
    changed = {name for name in {*step.options, *before.options} if step.options.get(name) != before.options.get(name)}
    match policy, fresh:
        case CircuitBreaker(), CircuitBreaker():
            policy.reconfigure(fresh.options)
        case RateLimiter(), RateLimiter():
            policy.rate, policy.max_wait = fresh.rate, fresh.max_wait
        case Bulkhead(), Bulkhead() if changed <= {"limit"}:
            policy.limit = fresh.limit
        case StaleOnError(), StaleOnError() if changed <= {"max_age", "fresh_for"}:
            policy.max_age, policy.fresh_for = fresh.max_age, fresh.fresh_for
        case Chaos(), Chaos() if changed <= {"enabled"}:
            policy.enabled = fresh.enabled
        case _:
            return fresh
    return policy


def make_budget(name: str, options: Options, clock: Clock) -> RetryBudget:
    """Raises ConfigurationError for a value out of its range."""
    try:
        return RetryBudget(**options, clock=clock)
    except ValueError as error:
        raise ConfigurationError(f"budgets.{name}", str(error)) from error


def _common(step: Step, means: Means) -> dict[str, Any]:
    return {"name": step.name, "clock": means.clock, "listener": means.listener}


def _budgeted(step: Step, means: Means) -> dict[str, Any]:
    options = dict(step.options)
    if "budget" in options:
        options["budget"] = means.budgets[options["budget"]]
    if "backoff" in options:
        options["backoff"] = _backoff(step, "backoff")
    return options


def _backoff(step: Step, option: str) -> Backoff:
    try:
        return Backoff(**step.options[option])
    except ValueError as error:
        raise ConfigurationError(f"{step.where}.{option}", str(error)) from error


def _plain(policy: Callable[..., Policy]) -> Callable[[Step, Means], Policy]:
    return lambda step, means: policy(**_budgeted(step, means), **_common(step, means))


def _retry(step: Step, means: Means) -> Policy:
    return Retry(**_budgeted(step, means), retry_on=means.transient, **_common(step, means))


def _breaker(step: Step, means: Means) -> Policy:
    options = dict(step.options)
    if isinstance(options.get("open_duration"), Mapping):
        options["open_duration"] = _backoff(step, "open_duration")
    judged = BreakerOptions(**options)
    return CircuitBreaker(step.name, judged, classify=means.classify, clock=means.clock, listener=means.listener)


def _rate_limit(step: Step, means: Means) -> Policy:
    options = dict(step.options)
    waits = {"max_wait": options.pop("max_wait")} if "max_wait" in options else {}
    return RateLimiter(Rate(**options), **waits, **_common(step, means))


def _adaptive_limit(step: Step, means: Means) -> Policy:
    options = dict(step.options)
    steering = dict(options.pop("algorithm", {"kind": "gradient"}))
    algorithm = {"aimd": Aimd, "gradient": Gradient}[steering.pop("kind")](**steering)
    transient = matcher(means.transient)
    return AdaptiveLimit(
        algorithm,
        **options,
        overload=lambda error: isinstance(error, TimeoutError) or transient(error),
        **_common(step, means),
    )


def _stale(step: Step, means: Means) -> Policy:
    transient = matcher(means.transient)
    return StaleOnError(
        **step.options, on=lambda error: isinstance(error, Rejected) or transient(error), **_common(step, means)
    )


_MAKERS: Mapping[str, Callable[[Step, Means], Policy]] = {
    "retry": _retry,
    "breaker": _breaker,
    "timeout": _plain(Timeout),
    "bulkhead": _plain(Bulkhead),
    "rate_limit": _rate_limit,
    "hedge": _plain(Hedge),
    "adaptive_limit": _adaptive_limit,
    "stale": _stale,
    "chaos": _plain(Chaos),
}
