"""Fixtures: a private server that speaks MongoDB's protocol (SecantusDB, from its wheel), on loopback.

HOLDFAST_TEST_MONGO_URL names a MongoDB to use instead, a replica set (its database `holdfast_test` is emptied!). Tests
that freeze or kill a server, or have it fail, get one of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError

from adapters.mongo_store import MongoOptions, MongoStore, migrate

from .processes import Server, free_port, missing

_DATABASE = "holdfast_test"


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[str]:
    """URL of a database on a server for the whole session. Never freeze or kill it."""
    if url := os.environ.get("HOLDFAST_TEST_MONGO_URL"):
        yield url
        return
    with running_mongo() as server:
        yield server.url


@pytest.fixture
def mongo_url(mongo_server: str) -> str:
    """URL of a migrated database without records."""
    with client(mongo_server) as connected:
        records = connected.get_default_database()
        if "records" in records.list_collection_names():
            records.records.delete_many({})
            return mongo_server
    asyncio.run(migrate(mongo_server))
    return mongo_server


@pytest.fixture(scope="session")
def _mongo_victim() -> Iterator[Server]:
    with running_mongo("--enable-test-commands") as server:
        yield server


@pytest.fixture
def private_mongo(_mongo_victim: Server) -> Iterator[Server]:
    """A server of the test's own, to freeze, kill and have fail, with nothing in it."""
    yield _mongo_victim
    _mongo_victim.thaw()
    _mongo_victim.start()
    with client(_mongo_victim.url) as connected:
        connected.admin.command("configureFailPoint", "failCommand", mode="off")
        connected.drop_database(_DATABASE)


@contextlib.contextmanager
def running_mongo(*options: str, query: str = "", data: Path | None = None) -> Iterator[Server]:
    """options: more of the command line. query: of the URL. data: to keep; a new folder if None."""
    program = Path(sys.executable).with_name("secantusd-py")
    if not program.exists():
        missing("SecantusDB")
    with tempfile.TemporaryDirectory(prefix="holdfast-mongo-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        place = str(data or f"{folder}/data")
        words = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", place, "--sync-on-commit"]
        server = Server(
            "mongo",
            f"mongodb://127.0.0.1:{port}/{_DATABASE}{query}",
            [str(program), *words, "--log-level", "WARNING", *options],
            folder=Path(folder),
            answers=_answers,
        )
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.asynccontextmanager
async def mongo_store(url: str, **options: Any) -> AsyncIterator[MongoStore]:
    store = MongoStore(MongoOptions(url, **{"timeout": 20.0, "patience": 10.0, **options}))
    try:
        yield store
    finally:
        await store.close()


def client(url: str, *, patience: float = 20.0) -> pymongo.MongoClient[dict[str, Any]]:
    """A plain one, to look behind the store. patience: seconds to look for the server."""
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=int(patience * 1000), w="majority", journal=True)


def _answers(url: str) -> bool:
    try:
        with client(url, patience=2.0) as connected:
            connected.admin.command("ping")
    except PyMongoError:
        return False
    return True
