"""The memory ledger behaves as a ledger."""

from __future__ import annotations

import pytest

from adapters.memory_ledger import MemoryLedger
from holdfast.testing.clock import FakeClock
from holdfast.testing.conformance.ledger import CAPACITY, RETENTION, LedgerContract, Subject


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def subject(self) -> Subject:
        clock = FakeClock()
        return Subject(MemoryLedger(clock=clock, max_waiting=CAPACITY, retention=RETENTION), clock.advance, clock.time)
