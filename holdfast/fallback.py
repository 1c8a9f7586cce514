"""Answer with something else when the call cannot be answered."""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .errors import Rejected, Transient
from .events import Event, Listener, emit
from .policy import ErrorMatch, FunctionGuard, matcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


class Fallback(FunctionGuard):
    """Calls `instead` with the error when a call fails, and answers with what it returns.

    instead:  makes the answer; async or not for async calls. What it raises comes out, with the first error as context.
    on:       the errors that it stands in for: classes, or a predicate. By default Transient and Rejected: a definite
              "no" is an answer, and a bug stays visible.
    listener: told `fallback.used` (error.type).

    Cancellation is nothing to stand in for.

    >>> from holdfast.errors import Unavailable
    >>> @Fallback(lambda error: [])  # or by call and acall
    ... def recommendations(user):
    ...     raise Unavailable("nobody there")
    >>> recommendations("ann")
    []
    """

    def __init__(
        self,
        instead: Callable[[Exception], Any],
        *,
        name: str = "fallback",
        on: ErrorMatch = (Transient, Rejected),
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self._instead = instead
        self._on = matcher(on)
        self._listener = listener

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            try:
                return fn(*args, **kwargs)
            except Exception as error:
                if not self._stands_in(error):
                    raise
                return self._instead(error)

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            try:
                return await fn(*args, **kwargs)
            except Exception as error:
                if not self._stands_in(error):
                    raise
                answer = self._instead(error)
                return await answer if isawaitable(answer) else answer

        return guarded

    def _stands_in(self, error: Exception) -> bool:
        if not self._on(error):
            return False
        if self._listener is not None:
            emit(self._listener, Event("fallback.used", self.name, {"error.type": type(error).__qualname__}))
        return True
