"""Whether a Redis server keeps what it has acknowledged."""

from __future__ import annotations

from collections.abc import Mapping

from redis.exceptions import ResponseError

from holdfast.errors import Unavailable

from ..redis_errors import Denied
from ..redis_server import RedisServer

_NEEDED = {b"appendonly": b"yes", b"appendfsync": b"always", b"maxmemory-policy": b"noeviction"}


async def verify(server: RedisServer) -> None:
    """Return if the server writes every change to disk before it answers, and evicts nothing.

    Raises Unavailable with the settings at fault, or with what to do where the server does not tell.
    """
    try:
        reply = await server.command("CONFIG", "GET", *_NEEDED)
    except (ResponseError, Denied) as error:
        raise Unavailable(_untold(server, error)) from error
    wrong = _wrong(dict(zip(reply[::2], reply[1::2], strict=True)))
    if wrong:
        raise Unavailable(f"{server.where} may forget what it holds: set {' and '.join(wrong)}")


def _wrong(settings: Mapping[bytes, bytes]) -> list[str]:
    return [
        f"{name.decode()} to {needed.decode()} (it is {settings.get(name, b'not known').decode()})"
        for name, needed in _NEEDED.items()
        if settings.get(name) != needed
    ]


def _untold(server: RedisServer, error: Exception) -> str:
    needed = ", ".join(f"{name.decode()} {value.decode()}" for name, value in _NEEDED.items())
    return (
        f"{server.where} does not let its durability be verified ({error}): see to {needed}, "
        "then set HOLDFAST_LEDGER_DURABILITY=trust"
    )
