"""The store in MongoDB behaves as a store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdfast.testing.conformance.store import RefusingContract, StoreContract, Subject
from tests.support.mongo import mongo_store


class TestMongoStore(StoreContract, RefusingContract):
    @pytest.fixture
    async def subject(self, mongo_url: str) -> AsyncIterator[Subject]:
        async with mongo_store(mongo_url) as store, mongo_store(mongo_url) as peer:
            yield Subject(store, peer, unstorable={"n": 10**40 + 1})
