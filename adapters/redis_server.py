"""One Redis server: a few connections, a deadline for each step, and errors in our own terms.

redis-py's own client is not used: it repeats a command up to ten times behind its caller's back and does not tell an
error before sending from one after it. Its connections are.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import NoScriptError, RedisError

from holdfast.errors import OutcomeUnknown, Overloaded, TimedOut, Unavailable
from holdfast.operations.ports import Pool

from .redis_errors import ConnectionLost, translate

Argument = bytes | str | int


class Script:
    """Lua that the server runs as one atomic step. It is known there by the digest of its text."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to reach a server, and for how long to wait for it.

    url:             `redis://`, `rediss://` or `unix://`, with the database and the credentials.
    pool_size:       connections at most.
    connect_timeout: seconds for a connection to be made, the greeting included.
    timeout:         seconds for a free connection, and again for the answer.
    """

    url: str = field(repr=False)
    pool_size: int = 16
    connect_timeout: float = 0.5
    timeout: float = 1.0

    def __post_init__(self) -> None:
        if self.pool_size < 1 or min(self.connect_timeout, self.timeout) <= 0:
            raise ValueError(f"pool_size, connect_timeout and timeout must be positive, got {self}")


class RedisServer:
    """Calls to one server, for steps that may be repeated: one whose connection breaks is sent once more.

    name: shows in the server's list of clients and in errors. on_connect: is told of every new connection.
    """

    def __init__(self, options: RedisOptions, *, name: str, on_connect: Callable[[], None] = lambda: None) -> None:
        # Only makes connections: which class, and with which arguments, the URL says. Its socket timeout would
        # cost a task for each command; ours covers the whole exchange.
        self._maker = ConnectionPool.from_url(
            options.url,
            socket_timeout=None,
            socket_connect_timeout=None,
            protocol=2,
            client_name=name,
            driver_info=None,
        )
        self._options = options
        self._on_connect = on_connect
        self._idle: list[AbstractConnection] = []
        self._turns = asyncio.Semaphore(options.pool_size)
        self._used = 0
        self._closed = False
        self.where = f"{name} at {_address(self._maker.connection_kwargs)}"

    async def command(self, *arguments: Argument) -> Any:
        """The server's answer, as bytes, int, None or lists of these.

        Raises Unavailable when it was not executed, OutcomeUnknown when it may have been, Overloaded when the server
        is out of memory, and redis-py's ResponseError for any other error reply.
        """
        packed = hiredis.pack_command(arguments)  # type: ignore[arg-type]
        try:
            return await self._exchange(packed)
        except ConnectionLost:
            await self._drop_idle()
        try:
            return await self._exchange(packed)
        except (Unavailable, Overloaded) as error:
            raise OutcomeUnknown(f"sent, and could not be repeated: {error}") from error

    async def run(self, script: Script, *arguments: Argument) -> Any:
        """Run the script as `command` does; a server that does not know it yet is given its text."""
        try:
            return await self.command("EVALSHA", script.sha, *arguments)
        except NoScriptError:
            return await self.command("EVAL", script.text, *arguments)

    def pool(self) -> Pool:
        return Pool(self._used, len(self._idle), self._options.pool_size)

    async def close(self) -> None:
        """Close every connection; those in use when their calls end."""
        self._closed = True
        await self._drop_idle()

    async def _exchange(self, packed: bytes) -> Any:
        await self._take_turn()
        self._used += 1
        connection = self._idle.pop() if self._idle else self._make()
        try:
            await self._ready(connection)
            return await self._ask(connection, packed)
        finally:
            await self._give_back(connection)
            self._used -= 1
            self._turns.release()

    async def _take_turn(self) -> None:
        if self._closed:
            raise Unavailable(f"{self.where} is closed")
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(self._options.timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(f"{self.where}: all {self._options.pool_size} connections are busy") from None

    def _make(self) -> AbstractConnection:
        connection: AbstractConnection = self._maker.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def _ready(self, connection: AbstractConnection) -> None:
        """Have it connected, as far as can be known. Nothing of the call has been sent yet."""
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                # An idle connection has nothing to say but that it has ended.
                if connection.is_connected and await connection.can_read():
                    await connection.disconnect(nowait=True)
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                    self._on_connect()
        except TimeoutError as error:
            raise Unavailable(f"{self.where} does not greet in {self._options.connect_timeout:.3g} s") from error
        except (RedisError, OSError) as error:
            raise Unavailable(f"{self.where} cannot be reached: {error}") from error

    async def _ask(self, connection: AbstractConnection, packed: bytes) -> Any:
        try:
            async with asyncio.timeout(self._options.timeout):
                await connection.send_packed_command(packed, check_health=False)
                return await connection.read_response()
        except TimeoutError as error:
            raise TimedOut(f"{self.where} did not answer in {self._options.timeout:.3g} s") from error
        except (RedisError, OSError) as error:
            meaning = translate(error, self.where)
            if meaning is None:
                raise
            raise meaning from error

    async def _give_back(self, connection: AbstractConnection) -> None:
        if self._closed:
            await connection.disconnect(nowait=True)
        elif connection.is_connected:
            self._idle.append(connection)

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


def _address(arguments: Mapping[str, Any]) -> str:
    return arguments.get("path") or f"{arguments.get('host', 'localhost')}:{arguments.get('port', 6379)}"
