"""The ledger in Redis behaves as a ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.redis_ledger import RedisLedger, RedisLedgerOptions
from holdfast.testing.clock import FakeClock
from holdfast.testing.conformance.ledger import CAPACITY, RETENTION, LedgerContract, Subject
from tests.support.ledgers import PATIENT


class TestRedisLedger(LedgerContract):
    @pytest.fixture
    async def subject(self, valkey_url: str) -> AsyncIterator[Subject]:
        clock = FakeClock()
        options = RedisLedgerOptions(valkey_url, max_waiting=CAPACITY, retention=RETENTION, **PATIENT)
        ledger = RedisLedger(options, clock=clock)
        yield Subject(ledger, clock.advance, clock.time)
        await ledger.close()
