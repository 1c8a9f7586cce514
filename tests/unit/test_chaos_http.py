"""The client is exact about what has happened to a request: it matters for what may have taken effect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from chaos.http import Connection, NoAnswer, NotSent
from tests.support.late import pass_over
from tests.support.polling import until
from tests.support.streams import Answer, listening


@contextlib.asynccontextmanager
async def server(serve: Answer) -> AsyncIterator[str]:
    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


async def test_an_answer_comes_with_its_headers_and_body_and_the_connection_is_kept() -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: 2" in head
            assert await reader.readexactly(2) == b"{}"
            writer.write(b'HTTP/1.1 201 Created\r\nETag: "7"\r\nContent-Length: 4\r\n\r\nbody')

    async with server(serve) as url:
        connection = Connection(url, timeout=60)
        for _ in range(2):
            reply = await connection.request("PUT", "/x", {"a": "b"}, b"{}")
            assert (reply.status, reply.headers["etag"], reply.body) == (201, '"7"', b"body")
        connection.close()
    assert len(connections) == 1


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with server(serve) as url:
        pass
    with pytest.raises(NotSent):
        await Connection(url, timeout=60).request("GET", "/")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"])
async def test_half_an_answer_means_that_the_request_may_have_had_its_effect(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with server(serve) as url:
        with pytest.raises(NoAnswer):
            await Connection(url, timeout=60).request("GET", "/")


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.Event().wait()

    async with server(serve) as url:
        for number, (usual, this_one) in enumerate([(20.0, None), (3600.0, 20.0)], 1):
            asking = asyncio.create_task(Connection(url, timeout=usual).request("GET", "/", timeout=this_one))
            await until(lambda number=number: len(asked) == number)  # type: ignore[misc]
            pass_over(20.0)
            with pytest.raises(NoAnswer):
                await asking


async def test_a_connection_that_the_server_has_closed_is_made_anew() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    async with server(serve) as url:
        connection = Connection(url, timeout=60)
        assert [(await connection.request("DELETE", "/x")).status for _ in range(3)] == [204, 204, 204]
        connection.close()
