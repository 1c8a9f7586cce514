"""A closed-loop HTTP load of little cost of its own: raw HTTP/1.1 over keep-alive connections.

Run as a process, it prints one JSON line: {"seconds", "requests", "statuses", "p50", "p99", "max", "cpu"}; latencies in
milliseconds, cpu in seconds of this process. It understands answers with Content-Length or without a body only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import cast

import uvloop

RequestMaker = Callable[[], bytes]


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered, until `until`."""

    def __init__(self, make: RequestMaker, until: float, latencies: list[float], statuses: Counter[int]) -> None:
        self._make = make
        self._until = until
        self._latencies = latencies
        self._statuses = statuses
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        size = _complete(self._buffer)
        if not size:
            return
        self._latencies.append(time.perf_counter() - self._sent)
        self._statuses[int(self._buffer[9:12])] += 1
        self._buffer = self._buffer[size:]
        self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self._statuses[0] += 1
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self._sent >= self._until:
            self.done.set_result(None)
            self._transport.close()
            return
        self._transport.write(self._make())


def _complete(buffer: bytes) -> int:
    """Bytes of the first whole answer in the buffer, 0 if it is not whole yet."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = buffer[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    size = end + 4 + length
    return size if len(buffer) >= size else 0


def maker(method: str, path: str, body_bytes: int, key: str = "") -> RequestMaker:
    """Requests to `path`; `{id}` in it is a random id out of 100,000, `{seen}` one out of the first 1,000."""
    filler = "x" * max(0, body_bytes - 60)
    numbers = iter_random()
    authorization = f"authorization: Bearer {key}\r\n" if key else ""

    def make() -> bytes:
        number = next(numbers)
        target = path.replace("{id}", str(number % 100_000)).replace("{seen}", str(number % 1_000))
        body = b"" if method == "GET" else f'{{"name":"item {number}","n":{number},"filler":"{filler}"}}'.encode()
        head = f"{method} {target} HTTP/1.1\r\nhost: bench\r\n{authorization}"
        if body:
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body

    return make


def iter_random() -> Iterator[int]:
    draw = random.Random(os.getpid()).getrandbits
    while True:
        yield draw(40)


async def load(host: str, port: int, make: RequestMaker, connections: int, seconds: float) -> dict[str, object]:
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    until = began + seconds
    made = [
        await loop.create_connection(lambda: Connection(make, until, latencies, statuses), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in made))
    took = time.perf_counter() - began
    latencies.sort()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(took, 3),
        "requests": len(latencies),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "p50": _milliseconds(latencies, 0.50),
        "p99": _milliseconds(latencies, 0.99),
        "max": _milliseconds(latencies, 1.0),
        "cpu": round(usage.ru_utime + usage.ru_stime, 3),
    }


def _milliseconds(latencies: list[float], quantile: float) -> float:
    if not latencies:
        return 0.0
    return round(1000 * latencies[min(len(latencies) - 1, int(quantile * len(latencies)))], 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--method", default="POST")
    parser.add_argument("--path", default="/v1/records/bench")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--body-bytes", type=int, default=300)
    parser.add_argument("--key", default="", help="an API key to present")
    arguments = parser.parse_args()
    make = maker(arguments.method, arguments.path, arguments.body_bytes, arguments.key)
    running = load(arguments.host, arguments.port, make, arguments.connections, arguments.seconds)
    print(json.dumps(uvloop.run(running)))


if __name__ == "__main__":
    main()
