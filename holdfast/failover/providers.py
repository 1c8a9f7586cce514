"""Failover among providers: several implementations of one contract, asked until one of them can do it.

    class Mail(Protocol):
        async def send(self, to: str, text: str) -> str: ...

    mail = Failover[Mail]("mail", [Provider(Postmark(), policy=compose(Retry(2), breaker)), Provider(Ses())])
    send = mail.method(Mail.send)

    receipt = await send("ann@example.org", "hello")           # one after the other
    fastest = await send.any("ann@example.org", "hello")       # all at once, the first success
    everyone = await send.all("ann@example.org", "hello")      # all at once, every outcome
    other = await send.only("ses", "postmark")("ann@example.org", "hello")

Each failover keeps its own providers, order and statistics; there may be any number of them side by side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from ..checks import require
from ..clock import Clock, system_clock
from ..events import Listener
from .attempts import Attempt
from .books import Books
from .errors import FailOverOn, unless_permanent
from .hooks import Hooks
from .lineup import Lineup
from .method import Method, SyncMethod
from .provider import Provider
from .selection import Selection
from .stats import FailoverStats, ProviderStats

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")

# A function is a provider of one method, its own call.
_FUNCTION = "__call__"


class Failover(Generic[C]):
    """Providers of the contract C, in the order to ask them.

    select:       another order (see `selection`).
    fail_over_on: which errors are worth asking the next provider; others are raised as they are.
    hooks:        told about each success and failure, with what was asked and answered.
    listener:     told `failover.provider_failed`, `.provider_skipped`, `.used`, `.stopped` and `.all_failed`.
    half_life:    seconds, more than 0, after which the past counts half in selections.
    log_size:     attempts that are remembered, at least 0.

    Raises Invalid when two providers have the same name. Shared freely by threads and event loops.

    >>> lengths = Failover("lengths", [Provider(len), Provider(lambda text: 0, name="none")])
    >>> execution = lengths.sync_method().prefer("none").execute("four")
    >>> execution.provider, execution.result
    ('none', 0)
    """

    def __init__(
        self,
        name: str,
        providers: Iterable[Provider[C]] = (),
        *,
        select: Selection | None = None,
        fail_over_on: FailOverOn = unless_permanent,
        hooks: Hooks | None = None,
        clock: Clock = system_clock,
        listener: Listener | None = None,
        half_life: float = 300.0,
        log_size: int = 1_000,
    ) -> None:
        require(half_life > 0, "half_life", "more than 0", half_life)
        require(log_size >= 0, "log_size", "at least 0", log_size)
        self.name = name
        books = Books(name, clock, hooks=hooks or Hooks(), listener=listener, half_life=half_life, log_size=log_size)
        self._books = books
        self._lineup = Lineup(name, books, select)
        self._fail_over_on = fail_over_on
        for provider in providers:
            self.register(provider)

    @property
    def providers(self) -> tuple[Provider[C], ...]:
        return tuple(self._lineup.providers.values())

    def register(self, provider: Provider[C]) -> None:
        """Add it after the others; calls that have begun do not see it. Invalid if its name is taken."""
        self._lineup.add(provider)

    def replace(self, provider: Provider[C]) -> None:
        """Put it in the place of the one of its name; what is known of that one stays. NotFound if there is none."""
        self._lineup.replace(provider)

    def remove(self, name: str) -> None:
        """Ask it no more, and forget what is known of it. NotFound if there is none."""
        self._lineup.remove(name)

    @overload
    def method(
        self, of: Callable[Concatenate[C, P], Awaitable[T]], /, *, fail_over_on: FailOverOn | None = None
    ) -> Method[P, T]: ...
    @overload
    def method(
        self: Failover[Callable[P, Awaitable[T]]], /, *, fail_over_on: FailOverOn | None = None
    ) -> Method[P, T]: ...
    def method(self, of: Any = None, /, *, fail_over_on: FailOverOn | None = None) -> Method[Any, Any]:
        """An async method of the contract, such as `Mail.send`; without one, the call of the providers themselves.

        Providers that have no such method are not asked. fail_over_on: for this method, in place of the failover's.
        """
        return Method(self._lineup, _name_of(of), fail_over_on or self._fail_over_on)

    @overload
    def sync_method(
        self, of: Callable[Concatenate[C, P], T], /, *, fail_over_on: FailOverOn | None = None
    ) -> SyncMethod[P, T]: ...
    @overload
    def sync_method(
        self: Failover[Callable[P, T]], /, *, fail_over_on: FailOverOn | None = None
    ) -> SyncMethod[P, T]: ...
    def sync_method(self, of: Any = None, /, *, fail_over_on: FailOverOn | None = None) -> SyncMethod[Any, Any]:
        """A plain method of the contract; without one, the call of the providers themselves."""
        return SyncMethod(self._lineup, _name_of(of), fail_over_on or self._fail_over_on)

    def stats(self) -> FailoverStats:
        """The last 24 hours, and how things are now."""
        providers = {provider.name: self._stats(provider) for provider in self.providers}
        return FailoverStats.of(self.name, self._books.totals(), providers)

    def attempts(self, limit: int = 100, provider: str | None = None) -> list[Attempt]:
        """The latest attempts, of one provider or of all, newest first."""
        return self._books.log.read(limit, provider)

    def _stats(self, provider: Provider[C]) -> ProviderStats:
        name = provider.name
        counts, last_error = self._books.counts(name)
        return ProviderStats.of(name, counts, last_error, provider.breakers(), self._books.resting_for(name))


def functions(name: str, *fns: Callable[P, Awaitable[T]], fail_over_on: FailOverOn = unless_permanent) -> Method[P, T]:
    """Failover among plain async functions of one signature, in the given order, each under its own name.

    >>> import asyncio
    >>> async def primary(n: int) -> int:
    ...     raise ConnectionRefusedError
    >>> async def backup(n: int) -> int:
    ...     return n * 2
    >>> double = functions("double", primary, backup)
    >>> asyncio.run(double(21))
    42
    """
    return Failover(name, [Provider(fn) for fn in fns], fail_over_on=fail_over_on).method()


def sync_functions(name: str, *fns: Callable[P, T], fail_over_on: FailOverOn = unless_permanent) -> SyncMethod[P, T]:
    """Failover among plain functions of one signature, in the given order, each under its own name.

    >>> sync_functions("length", len)("four")
    4
    """
    return Failover(name, [Provider(fn) for fn in fns], fail_over_on=fail_over_on).sync_method()


def _name_of(method: Any) -> str:
    return _FUNCTION if method is None else method.__name__
