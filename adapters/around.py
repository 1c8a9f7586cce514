"""A stand-in for a port, some of whose methods do more: for timing and tracing, which go around any adapter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

P = TypeVar("P")

Call = Callable[..., Awaitable[Any]]


def around(port: P, **methods: Call) -> P:
    """`port`, with `methods` in the place of its own methods of these names."""
    return cast(P, _Around(port, methods))


class _Around:
    def __init__(self, port: object, methods: dict[str, Call]) -> None:
        vars(self).update(methods)  # found before __getattr__ is asked: a call through here costs nothing more
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)
