"""Ports whose every call is timed: by dependency, operation and outcome."""

from __future__ import annotations

import inspect
import time
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from prometheus_client import Histogram

from holdfast.errors import Rejected, Transient, Unavailable
from holdfast.operations.model import Resource
from holdfast.operations.ports import Cached

from ..around import Call, around

P = TypeVar("P")


def timed(port: P, protocol: type, dependency: str, calls: Histogram) -> P:
    """The same port, with every operation of its protocol timed, but for `close`."""
    operations = [name for name, member in vars(protocol).items() if inspect.iscoroutinefunction(member)]
    methods = {name: _timed(getattr(port, name), calls, dependency, name) for name in operations if name != "close"}
    return around(port, **methods)


def watched(port: P, operation: str, told: Callable[[Sequence[Cached | None]], None]) -> P:
    """The same port, with the answers of one operation told as well."""
    ask = getattr(port, operation)

    async def ask_and_tell(resources: Sequence[Resource]) -> list[Cached | None]:
        found: list[Cached | None] = await ask(resources)
        told(found)
        return found

    return around(port, **{operation: ask_and_tell})


def outcome_of(error: BaseException) -> str:
    """How a call ended that raised this, as the value of a label."""
    match error:
        case Unavailable():
            return "unavailable"
        case Transient():
            return "unknown"
        case Rejected():
            return "refused"
        case CancelledError():
            return "abandoned"
    return "fault"


def _timed(call: Call, calls: Histogram, dependency: str, operation: str) -> Call:
    outcomes: dict[str, Histogram] = {}

    def tell(outcome: str, seconds: float) -> None:
        if outcome not in outcomes:
            outcomes[outcome] = calls.labels(dependency, operation, outcome)
        outcomes[outcome].observe(seconds)

    async def measured(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            answer = await call(*arguments, **named)
        except BaseException as error:
            tell(outcome_of(error), time.perf_counter() - began)
            raise
        tell("ok", time.perf_counter() - began)
        return answer

    return measured
