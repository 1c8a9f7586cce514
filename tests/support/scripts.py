"""Providers that answer as a test wrote it down."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.breaker import BreakerOptions
from holdfast.failover import Failover, Provider
from holdfast.policy import Policy

QUICK = BreakerOptions(minimum_calls=2, window_size=10, open_duration=5.0)


class Script:
    """Answers each call with the next line of its script, and the last line for ever."""

    def __init__(self, *lines: str | Exception) -> None:
        self.lines = list(lines)
        self.calls = 0

    async def __call__(self, text: str) -> str:
        self.calls += 1
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        await asyncio.sleep(0)
        if isinstance(line, Exception):
            raise line
        return line


def failover(a: Script, b: Script, policy: Policy, **options: Any) -> Failover[Script]:
    return Failover("x", [Provider(a, "a", policy), Provider(b, "b")], **options)
