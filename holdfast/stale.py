"""Answer with the last good result when the call cannot be answered.

Source: RFC 5861, "HTTP Cache-Control Extensions for Stale Content" (stale-if-error), for any call.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from .checks import require
from .clock import Clock, system_clock
from .errors import Rejected, Transient
from .events import Event, Listener, emit
from .policy import ErrorMatch, FunctionGuard, matcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class StaleResult(Generic[T_co]):
    """The result of a call, or of an earlier one with the same key.

    age:   seconds since the earlier call was made; 0 for the result of this call.
    error: why this call has no result of its own; None if it has, or was not made.

    >>> StaleOnError(60).run(abs, -1)
    StaleResult(value=1, age=0.0, error=None)
    """

    value: T_co
    age: float = 0.0
    error: Exception | None = None


def same_arguments(*args: Any, **kwargs: Any) -> Hashable:
    """The default key: calls of one function with equal arguments have equal results.

    >>> same_arguments(1, b=2) == same_arguments(1, b=2)
    True
    """
    return (args, tuple(sorted(kwargs.items()))) if kwargs else (args,)


class StaleOnError(FunctionGuard):
    """Remembers the last good result for each key, and gives that when a call fails.

    max_age:   seconds, more than 0: no older result is given; then the error comes out.
    fresh_for: seconds, at least 0: for so long a result is given without a call.
    size:      results kept, at least 1; the one used least lately goes first.
    on:        the errors that it stands in for: classes, or a predicate; Transient and Rejected by default.
    key:       what tells calls apart, hashable, made from the arguments.
    listener:  told `stale.served` (age, error.type).

    A result never replaces that of a call that began later. Results are handed out as they are: do not change them.

    >>> from holdfast.errors import Unavailable
    >>> answers = iter([20.5])
    >>> @StaleOnError(max_age=600)  # or by call and acall; run and arun tell the age
    ... def temperature(city):
    ...     for answer in answers:
    ...         return answer
    ...     raise Unavailable("nobody there")
    >>> temperature("Rome"), temperature("Rome")
    (20.5, 20.5)
    """

    def __init__(
        self,
        max_age: float,
        *,
        name: str = "stale",
        fresh_for: float = 0.0,
        size: int = 1024,
        on: ErrorMatch = (Transient, Rejected),
        key: Callable[..., Hashable] = same_arguments,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(max_age > 0, "max_age", "more than 0", max_age)
        require(fresh_for >= 0, "fresh_for", "at least 0", fresh_for)
        require(size >= 1, "size", "at least 1", size)
        self.name = name
        self.max_age = max_age
        self.fresh_for = fresh_for
        self.size = size
        self._on = matcher(on)
        self._key = key
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._results = OrderedDict[Hashable, tuple[float, Any]]()

    def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> StaleResult[T]:
        """As `call`, and tell how old the result is."""
        return cast("StaleResult[T]", self._guard(fn, report=True)(*args, **kwargs))

    async def arun(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> StaleResult[T]:
        """As `acall`, and tell how old the result is."""
        return cast("StaleResult[T]", await self._guard_async(fn, report=True)(*args, **kwargs))

    def forget(self) -> None:
        """Drop all results."""
        with self._lock:
            self._results.clear()

    def _guard(self, fn: Callable[P, T], *, report: bool = False) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            key, began = (fn, self._key(*args, **kwargs)), self._clock.monotonic()
            found = self._recall(key, began, self.fresh_for)
            if found is None:
                try:
                    found = StaleResult(fn(*args, **kwargs))
                except Exception as error:
                    found = self._stand_in(key, error)
                    if found is None:
                        raise
                else:
                    self._remember(key, began, found.value)
            return found if report else found.value

        return guarded

    def _guard_async(
        self, fn: Callable[P, Awaitable[T]], *, report: bool = False
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            key, began = (fn, self._key(*args, **kwargs)), self._clock.monotonic()
            found = self._recall(key, began, self.fresh_for)
            if found is None:
                try:
                    found = StaleResult(await fn(*args, **kwargs))
                except Exception as error:
                    found = self._stand_in(key, error)
                    if found is None:
                        raise
                else:
                    self._remember(key, began, found.value)
            return found if report else found.value

        return guarded

    def _recall(self, key: Hashable, now: float, max_age: float) -> StaleResult[Any] | None:
        with self._lock:
            entry = self._results.get(key)
            if entry is None or not now - entry[0] < max_age:
                return None
            self._results.move_to_end(key)
        return StaleResult(entry[1], now - entry[0])

    def _remember(self, key: Hashable, began: float, value: object) -> None:
        with self._lock:
            entry = self._results.get(key)
            if entry is not None and entry[0] > began:
                return
            self._results[key] = began, value
            self._results.move_to_end(key)
            if len(self._results) > self.size:
                self._results.popitem(last=False)

    def _stand_in(self, key: Hashable, error: Exception) -> StaleResult[Any] | None:
        found = self._recall(key, self._clock.monotonic(), self.max_age) if self._on(error) else None
        if found is None:
            return None
        if self._listener is not None:
            attributes: dict[str, float | str] = {"age": found.age, "error.type": type(error).__qualname__}
            emit(self._listener, Event("stale.served", self.name, attributes))
        return StaleResult(found.value, found.age, error)
