"""What all patterns have in common: a policy guards a call, and policies compose in an explicit order."""

from __future__ import annotations

from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


class Policy(Protocol):
    """Guards calls. What it raises by itself is a HoldfastError; everything else comes from the call."""

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` under the guard."""

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `fn` under the guard."""


class Pipeline:
    """Policies as one: the first is the outermost and sees what all the others made of the call."""

    def __init__(self, *policies: Policy) -> None:
        if not policies:
            raise ValueError("a pipeline needs at least one policy")
        self.policies = policies
        # Each guards a call of the next, which is handed the function as its first argument.
        calls: list[Any] = [policy.call for policy in policies]
        acalls: list[Any] = [policy.acall for policy in policies]
        self._call = partial(calls[0], *calls[1:])
        self._acall = partial(acalls[0], *acalls[1:])

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""
        return decorate(self, fn)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._call(fn, *args, **kwargs)
        return result

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self._acall(fn, *args, **kwargs)
        return result


def compose(*policies: Policy) -> Pipeline:
    """One policy out of several, outermost first; ValueError without any."""
    return Pipeline(*policies)


def decorate(policy: Policy, fn: Callable[P, T]) -> Callable[P, T]:
    """`fn` under the policy; async if `fn` is a coroutine function."""
    guarded: Callable[P, Any] = _guarded_async(policy, fn) if _is_async(fn) else _guarded(policy, fn)
    return guarded


def _guarded(policy: Policy, fn: Callable[P, T]) -> Callable[P, T]:
    call = policy.call

    @wraps(fn)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        return call(fn, *args, **kwargs)

    return guarded


def _guarded_async(policy: Policy, fn: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Any]]:
    acall = policy.acall

    @wraps(fn)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        return await acall(fn, *args, **kwargs)

    return guarded


def _is_async(fn: Any) -> bool:
    return iscoroutinefunction(fn) or iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
