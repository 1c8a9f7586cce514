"""What all patterns have in common: a policy guards a call, and policies compose in an explicit order."""

from __future__ import annotations

import logging
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Guard = Callable[[Callable[..., Any]], Callable[..., Any]]

P = ParamSpec("P")
T = TypeVar("T")

ErrorMatch: TypeAlias = "type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]"

_log = logging.getLogger(__name__)


class Policy(Protocol):
    """Guards calls. What it raises by itself is a HoldfastError; everything else comes from the call.

    >>> from holdfast.bulkhead import Bulkhead
    >>> policy: Policy = Bulkhead(10)
    >>> policy.call(abs, -1), policy(abs)(-1)
    (1, 1)
    """

    def __call__(self, fn: Callable[P, T], /) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` under the guard."""

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Await `fn` under the guard."""


class Pipeline:
    """Policies as one: the first is the outermost and sees what all the others made of the call.

    >>> from holdfast.bulkhead import Bulkhead
    >>> from holdfast.retry import Retry
    >>> Pipeline(Retry(3), Bulkhead(10)).call(abs, -1)
    1
    """

    def __init__(self, *policies: Policy) -> None:
        if not policies:
            raise ValueError("a pipeline needs at least one policy")
        self.policies = policies
        self._outer, inner = policies[0], policies[:0:-1]
        self._calls = [policy.call for policy in inner]
        self._acalls = [policy.acall for policy in inner]

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""
        guarded = fn
        for policy in reversed(self.policies):
            guarded = policy(guarded)
        return guarded

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` under all of them."""
        rest: Callable[..., T] = fn
        for call in self._calls:
            rest = _Rest(call, rest)
        return self._outer.call(rest, *args, **kwargs)

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Await `fn` under all of them."""
        rest: Callable[..., Awaitable[T]] = fn
        for acall in self._acalls:
            rest = _Rest(acall, rest)
        return self._outer.acall(rest, *args, **kwargs)


class _Rest(partial[Any]):
    """What a policy of a pipeline guards: a call of the next one. It is the same for the same function each time."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rest) and (self.func, self.args) == (other.func, other.args)

    def __hash__(self) -> int:
        return hash((self.func, self.args))


def compose(*policies: Policy) -> Pipeline:
    """One policy out of several, outermost first; ValueError without any.

    >>> from holdfast.bulkhead import Bulkhead
    >>> from holdfast.retry import Retry
    >>> len(compose(Retry(3), Bulkhead(10)).policies)
    2
    """
    return Pipeline(*policies)


class FunctionGuard:
    """Base of policies, which say how they wrap a sync function (`_guard`) and an async one (`_guard_async`).

    A policy without `_guard` guards async calls only: for others, its decorator and `call` raise TypeError.
    """

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""
        return decorate(fn, self._guard, self._guard_async)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` under the guard; if it has to wait, it blocks this thread."""
        return self._guard(fn)(*args, **kwargs)

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Await `fn` under the guard."""
        return self._guard_async(fn)(*args, **kwargs)

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        raise TypeError(f"{type(self).__name__} guards async calls only, got {fn!r}")

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        raise NotImplementedError


def decorate(fn: Callable[P, T], guard: Guard, guard_async: Guard) -> Callable[P, T]:
    """Wrap `fn` by `guard_async` if it is a coroutine function, by `guard` if not; its name and docstring stay.

    TypeError for a generator function: its call returns at once, and the guard would end before anything has run.
    """
    if isgeneratorfunction(fn) or isasyncgenfunction(fn):
        raise TypeError(f"a generator cannot be guarded, got {fn!r}: guard the calls that it makes")
    decorated: Callable[P, T] = wraps(fn)(guard_async(fn) if _is_async(fn) else guard(fn))
    return decorated


def _is_async(fn: Any) -> bool:
    return iscoroutinefunction(fn) or iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def matcher(which: ErrorMatch) -> Callable[[Exception], bool]:
    """What tells whether an error is meant: by its class, or by a predicate, whose own failure is logged and means no.

    >>> matcher((KeyError, OSError))(ConnectionResetError())
    True
    """
    if isinstance(which, (type, tuple)):
        return lambda error: isinstance(error, which)

    def matches(error: Exception) -> bool:
        try:
            return which(error)
        except Exception:  # noqa: BLE001 - a predicate is somebody else's code
            _log.exception("a predicate failed on %r", type(error))
            return False

    return matches
