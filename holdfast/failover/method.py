"""A method of a contract, to be called on whichever provider can do it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Generic, ParamSpec, Self, TypeVar

from ..deadline import remaining
from ..errors import TimedOut
from ..joining import stop
from ..policy import matcher
from .books import Books
from .errors import AllProvidersFailed, FailOverOn, Invalid, NoCandidate
from .hooks import Call
from .lineup import Lineup, View
from .outcomes import Execution, Failed, Outcome, Succeeded
from .trial import Trial

P = ParamSpec("P")
T = TypeVar("T")


class _Views(Generic[P, T]):
    """What calls of both kinds share: who is asked, and when to stop asking."""

    def __init__(self, lineup: Lineup, name: str, fail_over_on: FailOverOn, view: View | None = None) -> None:
        self.name = name
        self._lineup = lineup
        self._fail_over_on = fail_over_on
        self._view = view or View()

    def only(self, *names: str) -> Self:
        """The same method of these providers alone, asked in the given order.

        NotFound for a name nobody has, Invalid without any name.
        """
        if not names:
            raise Invalid("only() needs the name of at least one provider")
        self._lineup.check_names(*names)
        return self._with(replace(self._view, only=names, first=None))

    def prefer(self, name: str) -> Self:
        """The same method, this provider asked before the others; NotFound for a name nobody has."""
        self._lineup.check_names(name)
        return self._with(replace(self._view, first=name))

    def in_region(self, region: str) -> Self:
        """The same method, for a call that belongs to this region."""
        return self._with(replace(self._view, region=region))

    def _with(self, view: View) -> Self:
        return type(self)(self._lineup, self.name, self._fail_over_on, view)

    def _begin(self, *args: P.args, **kwargs: P.kwargs) -> _Run[T]:
        call = Call(self.name, args, kwargs)
        trials: list[Trial[T]] = self._lineup.trials(call, self._view)
        if not trials:
            raise NoCandidate(f"there is no provider of {self.name!r}")
        return _Run(call, trials, self._lineup.books, matcher(self._fail_over_on))


class Method(_Views[P, T]):
    """An async method: awaited, it asks one provider after the other until one can do it.

    A provider is skipped while a breaker of it is open, or while it has asked to be left alone. An error that is
    not to be failed over is raised as it is. When nobody can do it, AllProvidersFailed carries every error, and
    NoCandidate says that there was nobody to ask. Cancelled, it leaves no call behind.

    >>> from holdfast.failover import functions
    >>> async def shout(text):
    ...     return text.upper()
    >>> method: Method = functions("shout", shout)
    >>> asyncio.run(method.any("hey")).result
    'HEY'
    """

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the first that can do it."""
        return (await self.execute(*args, **kwargs)).result

    async def execute(self, *args: P.args, **kwargs: P.kwargs) -> Execution[T]:
        """The same, with who did it and what became of those before."""
        run = self._begin(*args, **kwargs)
        for trial in run.remaining_trials():
            execution = run.settle(await trial.arun())
            if execution is not None:
                return execution
        raise run.all_failed()

    async def any(self, *args: P.args, **kwargs: P.kwargs) -> Execution[T]:
        """Ask all at the same time and take the first success; raises AllProvidersFailed when there is none.

        The others are cancelled and awaited: none goes on after this returns. One that could not be stopped in
        time and succeeded as well is among the outcomes.
        """
        run = self._begin(*args, **kwargs)
        tasks = [asyncio.create_task(trial.arun()) for trial in run.trials]
        try:
            winner = await _first_success(tasks)
        finally:
            await stop(tasks)
        return run.close(winner, [task.result() for task in tasks if not task.cancelled()])

    async def all(self, *args: P.args, **kwargs: P.kwargs) -> list[Outcome[T]]:
        """Ask all at the same time, and return what became of each, in their order; raises none of their errors."""
        run = self._begin(*args, **kwargs)
        tasks = [asyncio.create_task(trial.arun()) for trial in run.trials]
        try:
            await asyncio.wait(tasks)
        finally:
            await stop(tasks)
        return [task.result() for task in tasks]


class SyncMethod(_Views[P, T]):
    """A plain method; like Method, but it blocks the calling thread and asks one after the other only.

    >>> from holdfast.failover import sync_functions
    >>> method: SyncMethod = sync_functions("length", len)
    >>> method.only("len").execute("four").result
    4
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the first that can do it."""
        return self.execute(*args, **kwargs).result

    def execute(self, *args: P.args, **kwargs: P.kwargs) -> Execution[T]:
        """The same, with who did it and what became of those before."""
        run = self._begin(*args, **kwargs)
        for trial in run.remaining_trials():
            execution = run.settle(trial.run())
            if execution is not None:
                return execution
        raise run.all_failed()

    def all(self, *args: P.args, **kwargs: P.kwargs) -> list[Outcome[T]]:
        """Ask each in turn, whatever became of those before, and return all outcomes in order."""
        return [trial.run() for trial in self._begin(*args, **kwargs).trials]


class _Run(Generic[T]):
    """One request on its way."""

    def __init__(self, call: Call, trials: list[Trial[T]], books: Books, fail_over_on: FailOverOn) -> None:
        self.trials = trials
        self._call = call
        self._books = books
        self._fail_over_on = fail_over_on
        self._outcomes: list[Outcome[T]] = []
        self._started = books.clock.monotonic()

    def remaining_trials(self) -> Iterator[Trial[T]]:
        """One after the other, for as long as the enclosing deadline leaves time to begin."""
        for trial in self.trials:
            if not remaining(self._books.clock):
                return
            if self._outcomes:
                self._books.passed_on(self._call, self._outcomes[-1].provider)
            yield trial

    def settle(self, outcome: Outcome[T]) -> Execution[T] | None:
        """The execution if the provider did it, None to go on; raises the error that is not to be failed over."""
        self._outcomes.append(outcome)
        if isinstance(outcome, Succeeded):
            return self._done(outcome)
        if not outcome.skipped and not self._fail_over_on(outcome.error):
            self._books.stopped(self._call, outcome.provider, self._duration(), outcome.error)
            raise outcome.error
        return None

    def close(self, winner: Succeeded[T] | None, outcomes: list[Outcome[T]]) -> Execution[T]:
        """The execution of a call for which all were asked at once; raises AllProvidersFailed if there is no winner."""
        self._outcomes = outcomes
        if winner is None:
            raise self.all_failed()
        return self._done(winner)

    def all_failed(self) -> Exception:
        failed = tuple(outcome for outcome in self._outcomes if isinstance(outcome, Failed))
        if not failed:
            return TimedOut("no time left to begin")
        error = AllProvidersFailed(f"no provider could do {self._call.method!r}", [each.error for each in failed])
        error.outcomes = failed
        self._books.all_failed(self._call, self._duration(), error)
        return error

    def _done(self, outcome: Succeeded[T]) -> Execution[T]:
        execution = Execution(outcome.provider, outcome.result, tuple(self._outcomes), self._duration())
        self._books.done(self._call, execution)
        return execution

    def _duration(self) -> float:
        return self._books.clock.monotonic() - self._started


async def _first_success(tasks: list[asyncio.Task[Outcome[T]]]) -> Succeeded[T] | None:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        outcomes = [task.result() for task in tasks if task in done]
        for outcome in outcomes:
            if isinstance(outcome, Succeeded):
                return outcome
    return None
