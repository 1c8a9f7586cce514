"""What a call to Redis means to its caller, for replies and failures that a real server does not give on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
from redis.exceptions import ResponseError

from adapters.redis_server import RedisOptions, RedisServer
from holdfast.errors import HoldfastError, OutcomeUnknown, Overloaded, TimedOut, Unavailable
from tests.support.late import pass_over
from tests.support.polling import until

Reaction = Callable[[asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 20.0


def reply(text: str) -> Reaction:
    async def react(writer: asyncio.StreamWriter) -> None:
        writer.write(f"{text}\r\n".encode())

    return react


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def say_nothing(_writer: asyncio.StreamWriter) -> None:
    pass


class Scripted:
    """Greets every connection, and reacts to the commands after that in turn; the last reaction stays."""

    def __init__(self, *reactions: Reaction) -> None:
        self.reactions = list(reactions)
        self.commands = 0
        self.connections = 0
        self.tasks: list[asyncio.Task[object] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._react(data, writer)
            writer.close()
            await writer.wait_closed()

    async def _react(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if b"SETNAME" in data:
            writer.write(b"+OK\r\n")
            return
        self.commands += 1
        reaction = self.reactions.pop(0) if len(self.reactions) > 1 else self.reactions[0]
        await reaction(writer)


@contextlib.asynccontextmanager
async def scripted(*reactions: Reaction) -> AsyncIterator[tuple[Scripted, RedisServer]]:
    script = Scripted(*reactions)
    listener = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    options = RedisOptions(f"redis://127.0.0.1:{port}/0", timeout=PATIENCE, connect_timeout=PATIENCE)
    server = RedisServer(options, name="test")
    try:
        yield script, server
    finally:
        await server.close()
        listener.close()
        await asyncio.gather(*filter(None, script.tasks))


async def late(script: Scripted, command: Coroutine[Any, Any, object]) -> None:
    """Let its time run out once it is there."""
    asking, before = asyncio.create_task(command), script.commands
    await until(lambda: script.commands > before)
    pass_over(PATIENCE)
    await asking


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("-LOADING Redis is loading the dataset in memory", Unavailable),
        ("-READONLY You can't write against a read only replica.", Unavailable),
        ("-MASTERDOWN Link with MASTER is down", Unavailable),
        ("-MISCONF Errors writing to the AOF file: No space left on device", Unavailable),
        ("-NOREPLICAS Not enough good replicas to write.", Unavailable),
        ("-BUSY Redis is busy running a script.", Unavailable),
        ("-CLUSTERDOWN The cluster is down", Unavailable),
        ("-MOVED 3999 127.0.0.1:6381", Unavailable),
        ("-NOAUTH Authentication required.", Unavailable),
        ("-NOPERM this user has no permissions to run the 'config|get' command", Unavailable),
        ("-OOM command not allowed when used memory > 'maxmemory'.", Overloaded),
    ],
)
async def test_a_refusal_means_that_nothing_has_happened(line: str, kind: type[HoldfastError]) -> None:
    async with scripted(reply(line), reply("+fine")) as (script, server):
        with pytest.raises(kind):
            await server.command("SET", "a", "b")
        assert script.commands == 1
        assert await server.command("GET", "a") == b"fine"


async def test_an_error_reply_of_another_kind_is_a_bug_of_ours_and_raised_as_it_is() -> None:
    async with scripted(reply("-WRONGTYPE Operation against a key holding the wrong kind of value")) as (_, server):
        with pytest.raises(ResponseError):
            await server.command("GET", "a")


async def test_a_connection_lost_after_sending_is_an_unknown_outcome_and_was_repeated_once() -> None:
    async with scripted(hang_up) as (script, server):
        with pytest.raises(OutcomeUnknown):
            await server.command("SET", "a", "b")
        assert script.commands == 2


async def test_a_repeat_that_is_answered_is_the_answer() -> None:
    async with scripted(hang_up, reply("+fine")) as (script, server):
        assert await server.command("SET", "a", "b") == b"fine"
        assert script.commands == 2


async def test_the_repeat_goes_over_a_new_connection_and_not_over_another_dead_one() -> None:
    before: set[asyncio.StreamWriter] = set()
    broken: set[asyncio.StreamWriter] = set()

    async def react(writer: asyncio.StreamWriter) -> None:
        before.add(writer)
        writer.close() if writer in broken else writer.write(b"+fine\r\n")

    async with scripted(react) as (script, server):
        await asyncio.gather(server.command("GET", "a"), server.command("GET", "b"))
        assert script.connections == 2
        broken |= before
        assert await server.command("GET", "c") == b"fine"
        assert script.connections == 3


@pytest.mark.parametrize("line", ["-LOADING Redis is loading", "-OOM command not allowed"])
async def test_a_repeat_that_is_refused_does_not_tell_what_became_of_the_first(line: str) -> None:
    async with scripted(hang_up, reply(line)) as (_, server):
        with pytest.raises(OutcomeUnknown):
            await server.command("SET", "a", "b")


async def test_what_is_not_answered_in_time_is_not_sent_again() -> None:
    async with scripted(say_nothing) as (script, server):
        with pytest.raises(TimedOut):
            await late(script, server.command("SET", "a", "b"))
        assert script.commands == 1


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def answer_later(writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    async with scripted(answer_later, reply("+second")) as (script, server):
        with pytest.raises(TimedOut):
            await late(script, server.command("GET", "first"))
        writers[0].write(b"+first\r\n")
        assert await server.command("GET", "second") == b"second"
        assert script.connections == 2


async def test_connections_are_used_again() -> None:
    async with scripted(reply("+fine")) as (script, server):
        for _ in range(10):
            await server.command("GET", "a")
        assert script.connections == 1


async def test_a_closed_server_is_not_asked() -> None:
    async with scripted(reply("+fine")) as (script, server):
        await server.command("GET", "a")
        await server.close()
        with pytest.raises(Unavailable, match="closed"):
            await server.command("GET", "a")
        assert script.commands == 1


def test_a_url_that_is_none_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="redis://"):
        RedisServer(RedisOptions("http://localhost"), name="test")


def test_options_that_cannot_work_are_an_error_and_do_not_show_the_password() -> None:
    with pytest.raises(ValueError, match="must be positive") as error:
        RedisOptions("redis://:secret@localhost", timeout=0)
    assert "secret" not in str(error.value)
