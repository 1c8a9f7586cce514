"""The providers of one failover, and which of them are asked for a call, in which order."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from .books import Books
from .errors import Invalid, NotFound
from .hooks import Call
from .provider import Provider
from .selection import Request, Selection, Standing
from .trial import Trial


@dataclass(frozen=True, slots=True)
class View:
    """Which providers a call is for.

    only:   their names, in the order to ask; None means all, in the order that the selection gives.
    first:  the name of the one to ask before the others.
    region: where the call belongs, for the selection.
    """

    only: tuple[str, ...] | None = None
    first: str | None = None
    region: str | None = None


class Lineup:
    """The providers of one failover, by name. A call that has begun does not see later changes."""

    def __init__(self, name: str, books: Books, select: Selection | None) -> None:
        self.name = name
        self.books = books
        self.providers: dict[str, Provider[Any]] = {}
        self._select = select
        self._lock = threading.Lock()

    def add(self, provider: Provider[Any]) -> None:
        with self._lock:
            if provider.name in self.providers:
                raise Invalid(f"{self.name!r} has a provider {provider.name!r} already")
            self.providers = {**self.providers, provider.name: provider}

    def replace(self, provider: Provider[Any]) -> None:
        with self._lock:
            self.check_names(provider.name)
            self.providers = {**self.providers, provider.name: provider}

    def remove(self, name: str) -> None:
        with self._lock:
            self.check_names(name)
            self.providers = {key: kept for key, kept in self.providers.items() if key != name}
        self.books.forget(name)

    def check_names(self, *names: str) -> None:
        """NotFound for a name that no provider has."""
        for name in names:
            if name not in self.providers:
                raise NotFound(f"{self.name!r} has no provider {name!r}; it has {', '.join(self.providers) or 'none'}")

    def trials(self, call: Call, view: View) -> list[Trial[Any]]:
        """The providers to ask for this call, in order; those that do not have the method are left out."""
        providers = self.providers
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
