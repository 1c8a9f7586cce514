"""Policies out of their options, and options into policies that are in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..adaptive import AdaptiveLimit
from ..backoff import Backoff
from ..breaker import BreakerOptions, CircuitBreaker
from ..budget import RetryBudget
from ..bulkhead import Bulkhead
from ..chaos import Chaos
from ..clock import Clock
from ..events import Listener
from ..hedge import Hedge
from ..policy import Policy
from ..ratelimit import Rate, RateLimiter
from ..retry import Retry
from ..timeout import Timeout
from .configuration import ConfigurationError, Options, Step


class Means(NamedTuple):
    """What policies are made with, besides their options."""

    clock: Clock
    listener: Listener | None
    budgets: Mapping[str, RetryBudget]


def make(step: Step, means: Means) -> Policy:
    """A new one, with an empty state. Raises ConfigurationError for a value out of its range."""
    try:
        return _MAKERS[step.policy](step, means)
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
        options["backoff"] = Backoff(**options["backoff"])
    return options


def _plain(policy: Callable[..., Policy]) -> Callable[[Step, Means], Policy]:
    return lambda step, means: policy(**_budgeted(step, means), **_common(step, means))


def _breaker(step: Step, means: Means) -> Policy:
    return CircuitBreaker(step.name, BreakerOptions(**step.options), clock=means.clock, listener=means.listener)


def _rate_limit(step: Step, means: Means) -> Policy:
    options = dict(step.options)
    waits = {"max_wait": options.pop("max_wait")} if "max_wait" in options else {}
    return RateLimiter(Rate(**options), **waits, **_common(step, means))


_MAKERS: Mapping[str, Callable[[Step, Means], Policy]] = {
    "retry": _plain(Retry),
    "breaker": _breaker,
    "timeout": _plain(Timeout),
    "bulkhead": _plain(Bulkhead),
    "rate_limit": _rate_limit,
    "hedge": _plain(Hedge),
    "adaptive_limit": _plain(AdaptiveLimit),
    "chaos": _plain(Chaos),
}
