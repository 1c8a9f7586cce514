"""What is written in one turn of the event loop leaves in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from api.transport import JoiningTransport


class Inner(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = self.ended = False

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.sent.append(b"".join(parts))

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


async def test_head_and_body_leave_together_and_the_next_answer_apart() -> None:
    inner = Inner()
    transport = JoiningTransport(inner, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert (inner.sent, transport.get_write_buffer_size()) == ([], 9)
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert (inner.sent, transport.get_write_buffer_size()) == ([b"head body", b"next"], 0)


async def test_what_was_written_leaves_before_the_end() -> None:
    inner = Inner()
    transport = JoiningTransport(inner, asyncio.get_running_loop())
    transport.write(b"last")
    transport.write_eof()
    assert (inner.sent, inner.ended, inner.closed) == ([b"last"], True, False)
    transport.write(b"words")
    transport.close()
    await asyncio.sleep(0)
    assert (inner.sent, inner.closed) == ([b"last", b"words"], True)


async def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    inner = Inner()
    transport = JoiningTransport(inner, asyncio.get_running_loop())
    transport.write(b"late")
    inner.close()
    await asyncio.sleep(0)
    assert inner.sent == []
