"""Is it ready? Asked from outside, in the server's own protocol; a probe answers within seconds, never raises."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

from .spec import Probe

_PATIENCE = 2.0
_POSTGRES_3_0 = 196_608
_OP_MSG = 2013


async def at_once() -> bool:
    """Ready as soon as it runs."""
    return True


def http(port: int, path: str) -> Probe:
    """Ready when GET `path` is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    return _tcp(port, request, b"HTTP/1.1 200")


def valkey(port: int) -> Probe:
    """Ready when it answers a ping, which it refuses while it still loads its data."""
    return _tcp(port, b"PING\r\n", b"+PONG")


def postgres(port: int, user: str, database: str) -> Probe:
    """Ready when it lets the user into the database, without a password."""
    body = struct.pack("!i", _POSTGRES_3_0) + f"user\0{user}\0database\0{database}\0\0".encode()
    return _tcp(port, struct.pack("!i", len(body) + 4) + body, b"R\0\0\0\x08\0\0\0\0")


def mongo(port: int) -> Probe:
    """Ready when it answers a `hello` with a message of the same kind."""
    words = b"\x10hello\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    body = struct.pack("<IB", 0, 0) + struct.pack("<i", len(words) + 5) + words + b"\0"
    request = struct.pack("<iiii", len(body) + 16, 1, 0, _OP_MSG) + body

    async def probe() -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                _, _, to, kind = struct.unpack("<iiii", await _ask(port, request, 16))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        return (to, kind) == (1, _OP_MSG)

    return probe


def exists(path: Path) -> Probe:
    """Ready when the file is there."""

    is_there = path.exists

    async def probe() -> bool:
        return is_there()

    return probe


def _tcp(port: int, request: bytes, answer: bytes) -> Probe:
    async def probe() -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await _ask(port, request, len(answer)) == answer
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    return probe


async def _ask(port: int, request: bytes, size: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.readexactly(size)
    finally:
        writer.close()
