"""The pipelines of a configuration, by name, which follow it when it changes."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from ..breaker import Verdict, classify
from ..budget import RetryBudget
from ..clock import Clock, system_clock
from ..errors import Transient
from ..events import Listener
from ..policy import ErrorMatch, Pipeline, Policy, decorate
from .advice import Advice, advise
from .configuration import Configuration, Step
from .making import Means, adapt, make, make_budget

P = ParamSpec("P")
T = TypeVar("T")


class Pipelines(Mapping[str, Policy]):
    """Each is a policy that can be kept: calls that begin after a `reload` follow it, others end as they began.

    source:    a mapping as `Configuration` describes it. Raises ConfigurationError where it is wrong.
    transient: errors after which the same call may succeed later: they are retried, speak against an adaptive limit,
               and have stale results stand in. Classes, or a predicate; Transient, and nothing else, by default.
    classify:  what an error says to the breakers, as for CircuitBreaker.
    listener:  told the events of every policy.

    >>> list(Pipelines({"pipelines": {"orders": [{"policy": "bulkhead", "limit": 10}]}}))
    ['orders']
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        transient: ErrorMatch = Transient,
        classify: Callable[[Exception], Verdict] = classify,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        self._transient = transient
        self._classify = classify
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._now = Configuration({}, {})
        self._budgets: dict[str, RetryBudget] = {}
        self._policies: dict[str, tuple[Step, Policy]] = {}
        self._live: dict[str, _Live] = {}
        self.reload(source)

    def __getitem__(self, name: str) -> Policy:
        return self._live[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._live)

    def __len__(self) -> int:
        return len(self._live)

    @property
    def advice(self) -> Mapping[str, list[Advice]]:
        """What is doubtful about the order of policies, by pipeline; those without doubts are left out."""
        found = {name: advise(*live.pipeline.policies) for name, live in self._live.items()}
        return {name: advice for name, advice in found.items() if advice}

    def reload(self, source: Mapping[str, Any]) -> list[str]:
        """Follow a new configuration, all of it or, when it is wrong, nothing; return what has changed, by name.

        What is configured as before stays as it is. A breaker keeps its state and, if it is measured the same way,
        its window; a rate limit what was spent; a bulkhead whose limit alone changed its calls. Others begin anew.
        A pipeline that is gone goes on for who holds it. Raises ConfigurationError.
        """
        wanted = Configuration.read(source)
        with self._lock:
            self._prove(wanted)
            budgets = {name: self._budget(name, wanted) for name in wanted.budgets}
            means = self._means(self._listener, budgets)
            policies, changed = dict[str, tuple[Step, Policy]](), list[str]()
            for step in (step for steps in wanted.pipelines.values() for step in steps):
                policy = self._policy(step, means, wanted)
                if self._policies.get(step.name, (None, None))[0] is None or not self._same(step, wanted):
                    changed.append(step.name)
                policies[step.name] = (step, policy)
            changed += [name for name in self._policies if name not in policies]
            self._budgets, self._policies, self._now = budgets, policies, wanted
            self._follow(wanted)
        return changed

    def _prove(self, wanted: Configuration) -> None:
        """Make all of it once, for nothing, so that what is wrong is found before anything is changed."""
        budgets = {name: make_budget(name, options, self._clock) for name, options in wanted.budgets.items()}
        for steps in wanted.pipelines.values():
            for step in steps:
                make(step, self._means(None, budgets))

    def _means(self, listener: Listener | None, budgets: Mapping[str, RetryBudget]) -> Means:
        return Means(self._clock, listener, self._transient, self._classify, budgets)

    def _budget(self, name: str, wanted: Configuration) -> RetryBudget:
        if name in self._budgets and self._now.budgets.get(name) == wanted.budgets[name]:
            return self._budgets[name]
        return make_budget(name, wanted.budgets[name], self._clock)

    def _policy(self, step: Step, means: Means, wanted: Configuration) -> Policy:
        before, policy = self._policies.get(step.name, (None, None))
        if before is None or policy is None or before.policy != step.policy:
            return make(step, means)
        return policy if self._same(step, wanted) else adapt(policy, step, before, means)

    def _same(self, step: Step, wanted: Configuration) -> bool:
        before = self._policies[step.name][0]
        budget = step.options.get("budget")
        return (before.policy, before.options) == (step.policy, step.options) and (
            budget is None or self._now.budgets.get(budget) == wanted.budgets[budget]
        )

    def _follow(self, wanted: Configuration) -> None:
        live = {}
        for name, steps in wanted.pipelines.items():
            pipeline = Pipeline(*(self._policies[step.name][1] for step in steps))
            live[name] = self._live.get(name) or _Live(pipeline)
            live[name].pipeline = pipeline
        self._live = live


class _Live:
    """A policy that is, at each call, what its pipeline is then."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    @property
    def policies(self) -> tuple[Policy, ...]:
        return self.pipeline.policies

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        return decorate(fn, self._guard, self._guard_async)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.pipeline.call(fn, *args, **kwargs)

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return self.pipeline.acall(fn, *args, **kwargs)

    def _guard(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.pipeline.call(fn, *args, **kwargs)

    def _guard_async(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await self.pipeline.acall(fn, *args, **kwargs)

        return guarded
