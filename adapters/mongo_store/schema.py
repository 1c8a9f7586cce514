"""The indexes: made by `python -m adapters.migrate`, and made sure of before anything is written.

Without the unique index one operation could be applied to two records, and MongoDB makes a collection that is not
there at the first write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pymongo import timeout
from pymongo.errors import OperationFailure

from holdfast.errors import Transient, Unavailable

from .client import Database, database, make_client
from .errors import code, translated
from .indexes import INDEXES, RECORDS
from .options import MongoOptions

_PAUSE = 0.5
_TIMEOUT = 5.0
_NO_COLLECTION = 26

Tell = Callable[[str], object]


async def migrate(url: str, *, wait: float = 60.0, tell: Tell = lambda _: None) -> str:
    """Make the indexes that are not there, and return the name of the database. Any number may run at once.

    wait: seconds for the server to come up. Raises Transient where it does not, and CommandFailed where an index of
    ours cannot be made: another one has its name, or one id is there twice.
    """
    client = make_client(MongoOptions(url, timeout=_TIMEOUT))
    async with client:
        db = database(client)
        await _create_within(db, wait, tell)
        return db.name


async def _create_within(db: Database, wait: float, tell: Tell) -> None:
    """Try until the server takes it, telling each new reason why it does not."""
    until, told = time.monotonic() + wait, ""
    while True:
        try:
            return await _create(db)
        except Transient as error:
            reason = str(error)
            if time.monotonic() >= until:
                raise
        if reason != told:
            tell(f"waiting: {reason}")
            told = reason
        await asyncio.sleep(_PAUSE)


async def _create(db: Database) -> None:
    with translated():
        with timeout(_TIMEOUT):
            await db.command("hello")
        await db[RECORDS].create_indexes([*INDEXES])


async def verify(db: Database) -> None:
    """Raises Unavailable while an index is missing."""
    found = await _names(db)
    for name in (index.document["name"] for index in INDEXES):
        if name not in found:
            raise Unavailable(f"MongoDB: {RECORDS} has no index {name}: run `python -m adapters.migrate`")


async def _names(db: Database) -> set[str]:
    with translated():
        try:
            return {index["name"] async for index in await db[RECORDS].list_indexes()}
        except OperationFailure as error:
            if code(error) == _NO_COLLECTION:
                return set()
            raise
