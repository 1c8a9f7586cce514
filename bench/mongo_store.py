"""How fast the MongoDB store applies, repeats and reads, over a bare pymongo loop that inserts documents one by one.

Run `python -m bench.mongo_store`: it starts a private server that speaks MongoDB's protocol (SecantusDB), or uses
`--url`, a migrated database whose records it deletes. Rounds of all rows alternate, and each figure is the median of
its rounds; the server's own speed is not MongoDB's, so trust the ratios alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

import uvloop
from pymongo import AsyncMongoClient, WriteConcern

from adapters.mongo_store import MongoOptions, MongoStore, migrate
from bench.store import CONNECTIONS, Steps, Subject, create, show
from tests.support.mongo import running_mongo


async def run(url: str, rounds: int, seconds: float, stock: int) -> None:
    client = AsyncMongoClient(url, maxPoolSize=CONNECTIONS)
    db = client.get_default_database("holdfast")
    await db.records.delete_many({})
    bare = db.get_collection("bare", write_concern=WriteConcern(w="majority", j=True))

    async def insert(_: int) -> int:
        operation = create()
        await bare.insert_one({"_id": operation.resource.id, "data": operation.payload})
        return 1

    store = MongoStore(MongoOptions(url, timeout=30.0))
    steps = Steps(store, stock)
    await steps.fill()
    measured = [
        Subject(f"bare pymongo loop, {CONNECTIONS} connections", insert, 1, lanes=CONNECTIONS),
        *(Subject(f"create, batches of {size}", steps.create, size) for size in (1, 10, 100)),
        *(Subject(f"replace, batches of {size}", steps.replace, size) for size in (1, 10, 100)),
        Subject("merge one record, batches of 100", steps.merge_one, 100),
        Subject("repeat, batches of 100", steps.repeat, 100),
        *(Subject(f"read, batches of {size}", steps.read, size) for size in (1, 100)),
        Subject("page of 100", steps.page, 100),
    ]
    for _ in range(rounds):
        for subject in measured:
            await subject.round(seconds)
    await store.close()
    await bare.drop()
    await client.close()
    show(measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a migrated database to use instead; its records are deleted")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each row in each round")
    parser.add_argument("--stock", type=int, default=2000, help="records that are there before")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = arguments.url
        if not url:
            url = stack.enter_context(running_mongo()).url
            asyncio.run(migrate(url))
        uvloop.run(run(url, arguments.rounds, arguments.seconds, arguments.stock))


if __name__ == "__main__":
    main()
