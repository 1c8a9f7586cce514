"""The store in PostgreSQL behaves as a store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdfast.testing.conformance.store import RefusingContract, StoreContract, Subject
from tests.support.stores import postgres_store


class TestPostgresStore(StoreContract, RefusingContract):
    @pytest.fixture
    async def subject(self, postgres_url: str) -> AsyncIterator[Subject]:
        async with postgres_store(postgres_url) as store, postgres_store(postgres_url) as peer:
            yield Subject(store, peer, unstorable={"text": "a\x00b"})
