"""What the errors of redis-py mean, by their class and by the code word that Redis begins an error reply with.

| reply or failure | means |
| --- | --- |
| no connection could be made | Unavailable |
| connection lost after sending | OutcomeUnknown |
| no reply in time | TimedOut |
| `OOM` | Overloaded: Redis refuses a script before it begins |
| a code word of `_REFUSED` | Unavailable: the server did not execute it |
| `NOPERM` | Denied, an Unavailable: the user may not do that |
| any other error reply | a bug of ours, raised as it is |
"""

from __future__ import annotations

from redis import exceptions

from holdfast.errors import HoldfastError, OutcomeUnknown, Overloaded, Unavailable

_REFUSED = frozenset(
    {
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOAUTH",
        "NOREPLICAS",
        "READONLY",
        "TRYAGAIN",
        "WRONGPASS",
    }
)
_OUT_OF_MEMORY_FOR = 5.0


class Denied(Unavailable):
    """The server does not let this user do that."""


class ConnectionLost(OutcomeUnknown):
    """The connection broke after the call was sent."""


def code(error: exceptions.RedisError) -> str:
    """The first word of the server's reply; redis-py keeps it apart for the codes that it knows."""
    return error.status_code or str(error).partition(" ")[0]


def translate(error: exceptions.RedisError | OSError, where: str) -> HoldfastError | None:
    """The meaning of an error of a call that was sent to `where`; None for a bug of ours."""
    text = f"{where}: {error}"
    if isinstance(error, exceptions.RedisError):
        if code(error) == "OOM":
            return Overloaded(f"{where} is out of memory", _OUT_OF_MEMORY_FOR)
        if code(error) == "NOPERM":
            return Denied(f"{where} refuses: {error}")
        if code(error) in _REFUSED:
            return Unavailable(f"{where} refuses, {code(error)}: {error}")
        if isinstance(error, exceptions.ResponseError):
            return None
    return ConnectionLost(text)
