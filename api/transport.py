"""A transport that sends what is written in one turn of the event loop in one piece.

uvicorn writes the head of an answer and its body apart: two system calls, two packets, and a client that wakes twice.
"""

from __future__ import annotations

import asyncio
from typing import Any


class JoiningTransport:
    """Everything but writing is the inner transport's."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size() + sum(map(len, self._parts))

    def write_eof(self) -> None:
        self._flush()
        self._inner.write_eof()

    def close(self) -> None:
        """Close once all that was written has left."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._inner.is_closing():
            self._inner.writelines(parts)
