"""How a command reaches the supervisor: one line of JSON each way, over a socket in the stack's directory.

The path of a socket must be short (about 100 characters), a stack's directory need not be: a long one is named by
a descriptor. Nobody changes the working directory for it, which belongs to all threads of a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from cli.errors import StackError

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_SOCKET = "control.sock"
_LONGEST = 100


async def serve(directory: Path, handle: Handler) -> asyncio.Server:
    """Answer requests until the server is closed; a StackError goes back as the answer's `error`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply = await _reply(handle, await reader.readline())
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        except ConnectionError:
            pass  # whoever asked has gone
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, sock=_listener(directory))


def _listener(directory: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    (directory / _SOCKET).unlink(missing_ok=True)
    with _named(directory) as path:
        listener.bind(path)
    return listener


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[str]:
    """A path of the socket that is short enough."""
    path = str(directory / _SOCKET)
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
    finally:
        os.close(descriptor)


async def _reply(handle: Handler, line: bytes) -> dict[str, Any]:
    try:
        return await handle(json.loads(line))
    except StackError as error:
        return {"error": error.message}


def ask(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send one request and return its answer, however long that takes.

    Raises StackError when no stack runs there, and with the supervisor's words when it refuses.
    """
    with _connected(directory) as connection, connection.makefile("rwb") as stream:
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
        line = stream.readline()
    if not line:
        raise StackError("the stack ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise StackError(answer["error"])
    return answer


def _connected(directory: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _named(directory) as path:
            connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise StackError(
            f"no stack runs in {directory.parent} (--dir names another); start one with `holdfast stack up`"
        ) from error
    except PermissionError as error:
        connection.close()
        raise StackError(f"the stack in {directory.parent} belongs to another user") from error
    return connection
