"""One provider, asked once: called through its policy, or skipped.

A provider's policy may call it several times. Each of those calls is a try, watched from inside the policy; the
bookkeeping of the outcome waits until the call has left every `try`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..errors import CircuitOpen, OutcomeUnknown, RateLimited, Rejected
from ..joining import cancelled_by_caller
from ..policy import Policy
from .books import Books
from .hooks import Call
from .outcomes import Failed, Outcome, Succeeded
from .provider import Provider, shut_breaker

T = TypeVar("T")


class Trial(Generic[T]):
    """The asking of one provider for one call. fn: the provider's method; it returns T, or an awaitable of it."""

    def __init__(self, provider: Provider[Any], fn: Callable[..., Any], call: Call, books: Books) -> None:
        self.provider = provider
        self._fn = fn
        self._call = call
        self._books = books
        self._now = books.clock.monotonic
        self._policy: Policy | None = provider.policy_of(call.method)
        self._tries = 0
        self._ended = False
        self._error: Exception | None = None
        self._asked_at = self._tried_at = self._now()
        self._seconds: float | None = None

    def run(self) -> Outcome[T]:
        """Call it; no error of it gets out, and cancellation does."""
        refusal = self._refusal()
        if refusal is not None:
            return self._fail(refusal)
        try:
            result = self._run()
        except Exception as error:  # noqa: BLE001 - whatever it is goes into the outcome
            return self._fail(error)
        except BaseException:
            self._cancel()
            raise
        return self._succeed(result)

    async def arun(self) -> Outcome[T]:
        """Await it; no error of it gets out, and cancellation does."""
        refusal = self._refusal()
        if refusal is not None:
            return self._fail(refusal)
        try:
            result = await self._arun()
        except Exception as error:  # noqa: BLE001 - whatever it is goes into the outcome
            return self._fail(error)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and not cancelled_by_caller():
                return self._fail(OutcomeUnknown("it was cancelled from within"))
            self._cancel()
            raise
        return self._succeed(result)

    def _run(self) -> T:
        args, kwargs = self._call.args, self._call.kwargs
        if self._policy is None:
            return self._try(*args, **kwargs)
        return self._policy.call(self._try, *args, **kwargs)

    async def _arun(self) -> T:
        args, kwargs = self._call.args, self._call.kwargs
        if self._policy is None:
            return await self._atry(*args, **kwargs)
        return await self._policy.acall(self._atry, *args, **kwargs)

    def _try(self, *args: Any, **kwargs: Any) -> T:
        started = self._begin()
        try:
            result: T = self._fn(*args, **kwargs)
        except Exception as error:
            self._try_failed(started, error)
            raise
        self._seconds = self._now() - started
        return result

    async def _atry(self, *args: Any, **kwargs: Any) -> T:
        started = self._begin()
        try:
            result: T = await self._fn(*args, **kwargs)
        except Exception as error:
            self._try_failed(started, error)
            raise
        self._seconds = self._now() - started
        return result

    def _begin(self) -> float:
        self._tries += 1
        self._seconds = None
        self._tried_at = self._now()
        return self._tried_at

    def _try_failed(self, started: float, error: Exception) -> None:
        # What was abandoned may still end long after the outcome is known: that is news to nobody.
        if self._ended:
            return
        self._error = error
        self._seconds = self._now() - started
        self._books.try_failed(self._call, self.provider.name, self._tries, self._seconds, error)

    def _refusal(self) -> Rejected | None:
        name = self.provider.name
        rest = self._books.resting_for(name)
        if rest:
            return RateLimited(f"provider {name!r} has asked to be left alone", rest)
        shut = shut_breaker(self._policy)
        if shut is None:
            return None
        return CircuitOpen(f"breaker {shut.name!r} is {shut.state}", shut.retry_after)

    def _succeed(self, result: T) -> Outcome[T]:
        self._ended = True
        self._books.succeeded(self._call, self.provider.name, self._tries, self._last_duration(), result)
        return Succeeded(self.provider.name, result, self._tries, self._now() - self._asked_at)

    def _fail(self, error: Exception) -> Outcome[T]:
        self._ended = True
        name, duration = self.provider.name, self._last_duration()
        if not self._tries:
            self._books.skipped(self._call, name, error)
        else:
            # Its policy may refuse the retry of what failed: then the failure is what matters.
            if isinstance(error, Rejected) and self._error is not None:
                error = self._error
            if error is not self._error:
                self._books.try_failed(self._call, name, self._tries, duration, error)
            self._books.failed(self._call, name, duration, error)
        return Failed(name, error, self._tries, self._now() - self._asked_at)

    def _cancel(self) -> None:
        self._ended = True
        if self._tries:
            self._books.cancelled(self._call, self.provider.name, self._tries, self._last_duration())

    def _last_duration(self) -> float:
        return self._now() - self._tried_at if self._seconds is None else self._seconds
