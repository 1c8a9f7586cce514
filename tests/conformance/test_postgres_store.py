"""The store in PostgreSQL behaves as a store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.postgres_store import PostgresOptions, PostgresStore
from holdfast.testing.conformance.store import RefusingContract, StoreContract, Subject


class TestPostgresStore(StoreContract, RefusingContract):
    @pytest.fixture
    async def subject(self, postgres_url: str) -> AsyncIterator[Subject]:
        store, peer = (PostgresStore(PostgresOptions(postgres_url)) for _ in range(2))
        yield Subject(store, peer, unstorable={"text": "a\x00b"})
        await store.close()
        await peer.close()
