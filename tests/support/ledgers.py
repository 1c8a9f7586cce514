"""What tests of the ledgers and the cache in Redis share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adapters.redis_ledger import RedisLedger, RedisLedgerOptions
from holdfast.clock import Clock
from holdfast.events import Listener
from holdfast.operations.model import Operation
from holdfast.operations.ports import Hold

# A test in which no call is to run out of time, on any machine.
PATIENT: dict[str, Any] = {"timeout": 20.0, "connect_timeout": 20.0}


@asynccontextmanager
async def redis_ledger(
    url: str, *, clock: Clock | None = None, listener: Listener | None = None, **options: Any
) -> AsyncIterator[RedisLedger]:
    """A ledger as a process of its own would have it, that waits for its server as long as it takes."""
    ledger = RedisLedger(RedisLedgerOptions(url, **(PATIENT | options)), clock=clock, listener=listener)
    try:
        yield ledger
    finally:
        await ledger.close()


def holds(*operations: Operation) -> list[Hold]:
    return [Hold(one) for one in operations]
