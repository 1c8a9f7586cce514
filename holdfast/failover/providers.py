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

import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from ..clock import Clock, system_clock
from ..events import Listener
from .attempts import Attempt
from .books import Books
from .errors import FailOverOn, Invalid, NotFound, unless_permanent
from .hooks import Call, Hooks
from .method import Method, SyncMethod, View
from .provider import Provider
from .selection import Request, Selection, Standing
from .stats import FailoverStats, ProviderStats
from .trial import Trial

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
        if not half_life > 0 or log_size < 0:
            raise ValueError(f"half_life must be more than 0 and log_size at least 0, got {half_life} and {log_size}")
        self.name = name
        self.books = Books(
            name, clock, hooks=hooks or Hooks(), listener=listener, half_life=half_life, log_size=log_size
        )
        self._select = select
        self._fail_over_on = fail_over_on
        self._lock = threading.Lock()
        self._providers: dict[str, Provider[C]] = {}
        for provider in providers:
            self.register(provider)

    @property
    def providers(self) -> tuple[Provider[C], ...]:
        return tuple(self._providers.values())

    def register(self, provider: Provider[C]) -> None:
        """Add it after the others; calls that have begun do not see it. Invalid if its name is taken."""
        with self._lock:
            if provider.name in self._providers:
                raise Invalid(f"{self.name!r} has a provider {provider.name!r} already")
            self._providers = {**self._providers, provider.name: provider}

    def replace(self, provider: Provider[C]) -> None:
        """Put it in the place of the one of its name; what is known of that one stays. NotFound if there is none."""
        with self._lock:
            self.check_names(provider.name)
            self._providers = {**self._providers, provider.name: provider}

    def remove(self, name: str) -> None:
        """Ask it no more, and forget what is known of it. NotFound if there is none."""
        with self._lock:
            self.check_names(name)
            self._providers = {key: kept for key, kept in self._providers.items() if key != name}
        self.books.forget(name)

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
        return Method(self, _name_of(of), fail_over_on or self._fail_over_on)

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
        return SyncMethod(self, _name_of(of), fail_over_on or self._fail_over_on)

    def stats(self) -> FailoverStats:
        """The last 24 hours, and how things are now."""
        return FailoverStats.of(self.name, self.books.totals(), {name: self._stats(name) for name in self._providers})

    def attempts(self, limit: int = 100, provider: str | None = None) -> list[Attempt]:
        """The latest attempts, of one provider or of all, newest first."""
        return self.books.log.read(limit, provider)

    def check_names(self, *names: str) -> None:
        """NotFound for a name that no provider has."""
        for name in names:
            if name not in self._providers:
                raise NotFound(f"{self.name!r} has no provider {name!r}; it has {', '.join(self._providers) or 'none'}")

    def trials(self, call: Call, view: View) -> list[Trial[Any]]:
        """Those to ask for this call, in order."""
        providers = self._providers
        able = {name: fn for name in providers if (fn := getattr(providers[name].implementation, call.method, None))}
        names = [name for name in self._order(list(able), call, view) if name in able]
        return [Trial(providers[name], able[name], call, self.books) for name in names]

    def _order(self, names: list[str], call: Call, view: View) -> list[str]:
        if view.only is not None:
            return list(view.only)
        if self._select is not None:
            standings = [Standing(name, self.books.recent(name, call.method)) for name in names]
            names = [standing.name for standing in self._select(standings, Request(call.method, view.region))]
        if view.first is not None:
            names = [view.first, *(name for name in names if name != view.first)]
        return names

    def _stats(self, name: str) -> ProviderStats:
        counts, last_error = self.books.counts(name)
        breakers = self._providers[name].breakers()
        return ProviderStats.of(name, counts, last_error, breakers, self.books.resting_for(name))


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
    """Failover among plain functions of one signature, in the given order, each under its own name."""
    return Failover(name, [Provider(fn) for fn in fns], fail_over_on=fail_over_on).sync_method()


def _name_of(method: Any) -> str:
    return _FUNCTION if method is None else method.__name__
