"""The memory store behaves as a store."""

from __future__ import annotations

import pytest

from adapters.memory_store import MemoryStore
from holdfast.testing.conformance.store import StoreContract, Subject


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def subject(self) -> Subject:
        store = MemoryStore()
        return Subject(store, peer=store)
