"""A port of which some calls are others'."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

P = TypeVar("P")


def around(port: P, **calls: Callable[..., Awaitable[Any]]) -> P:
    """`port`, with these calls in the place of its own."""
    return cast(P, _Around(port, calls))


class _Around:
    def __init__(self, port: object, calls: dict[str, Callable[..., Awaitable[Any]]]) -> None:
        vars(self).update(calls)
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)
