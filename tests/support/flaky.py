"""Calls that fail a few times before they work."""

from __future__ import annotations

import asyncio

from holdfast.errors import Unavailable


class Flaky:
    """Raises the given errors one after the other, then works."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, value: str = "done") -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return value

    async def later(self, value: str = "done") -> str:
        await asyncio.sleep(0)
        return self(value)


def down(times: int) -> list[Unavailable]:
    return [Unavailable(f"attempt {number}") for number in range(1, times + 1)]
