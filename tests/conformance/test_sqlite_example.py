"""The example of a store, in SQLite, behaves as a store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.sqlite_store import SqliteStore
from holdfast.errors import Unavailable
from holdfast.operations.model import Applied, Fault
from holdfast.testing.conformance.store import StoreContract, Subject
from holdfast.testing.conformance.store.support import OTHER, create, merge

ROOT = Path(__file__).parents[2]


def test_the_page_about_it_shows_its_code() -> None:
    page = (ROOT / "docs/how-to/write-a-store.md").read_text()
    code = "".join(
        (ROOT / name).read_text() for name in ("examples/sqlite_store.py", "tests/conformance/test_sqlite_example.py")
    )
    lines = {line.strip() for line in code.splitlines()}
    excerpts = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(excerpts) == 3
    for excerpt in excerpts:
        assert {line.strip() for line in excerpt.splitlines()} <= lines


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
        store, peer = (SqliteStore(tmp_path / "store.db", patience=10.0) for _ in range(2))
        yield Subject(store, peer)
        await store.close()
        await peer.close()

    async def test_a_file_that_somebody_else_writes_is_unavailable(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "store.db", patience=0.05)
        await store.ping()
        somebody = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await store.apply([create()])
        somebody.close()
        assert isinstance((await store.apply([create()]))[0], Applied)
        await store.close()

    async def test_a_folder_that_is_not_there_is_unavailable(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable):
            await SqliteStore(tmp_path / "nowhere" / "store.db").ping()

    async def test_what_is_not_json_spoils_its_own_record_alone(self, subject: Subject) -> None:
        results = await subject.apply(create({"bad": object()}), merge({}), create({}, OTHER))
        assert [type(result) for result in results] == [Fault, Fault, Applied]
