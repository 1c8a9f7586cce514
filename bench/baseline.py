"""The bare loop to compare with: psycopg commits the same rows one by one, record and operation id in one statement.

Run as a process, it prints one JSON line: {"seconds", "rows", "p50", "p99", "cpu"}; latencies in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
import uuid

import psycopg
import uvloop
from psycopg.types.json import Jsonb

_TABLES = """
CREATE TABLE IF NOT EXISTS bench_records (collection text, id text, version bigint NOT NULL, data jsonb,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, PRIMARY KEY (collection, id));
CREATE TABLE IF NOT EXISTS bench_operations (id uuid PRIMARY KEY, fingerprint text NOT NULL, version bigint NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now());
"""
_WRITE = """
WITH operation AS (INSERT INTO bench_operations (id, fingerprint, version) VALUES (%s, %s, 1) RETURNING id)
INSERT INTO bench_records SELECT 'bench', %s, 1, %s, now(), now() FROM operation
"""


async def client(connection: psycopg.AsyncConnection, until: float, filler: str, latencies: list[float]) -> None:
    """Commit rows until then, one at least."""
    began = time.perf_counter()
    async with connection:
        while True:
            id_ = uuid.uuid4()
            data = {"name": f"item {id_.int % 1000}", "n": id_.int % 1000, "filler": filler}
            await connection.execute(_WRITE, (id_, id_.hex, id_.hex, Jsonb(data)))
            before, began = began, time.perf_counter()
            latencies.append(began - before)
            if began >= until:
                return


async def run(url: str, connections: int, seconds: float, body_bytes: int) -> dict[str, float]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_TABLES)
    latencies: list[float] = []
    filler = "x" * (body_bytes - 60)
    made = [await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.gather(*(client(each, began + seconds, filler, latencies) for each in made))
    took = time.perf_counter() - began
    latencies.sort()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(took, 3),
        "rows": len(latencies),
        "p50": round(1000 * latencies[len(latencies) // 2], 2),
        "p99": round(1000 * latencies[int(len(latencies) * 0.99)], 2),
        "cpu": round(usage.ru_utime + usage.ru_stime, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--body-bytes", type=int, default=300)
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(run(arguments.url, arguments.connections, arguments.seconds, arguments.body_bytes))))


if __name__ == "__main__":
    main()
