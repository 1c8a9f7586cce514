"""What the errors of pymongo mean, by their class, code and error label.

| error | means |
| --- | --- |
| ServerSelectionTimeoutError, WaitQueueTimeoutError, ConfigurationError (DNS, no sessions) | Unavailable |
| labels SystemOverloadedError, NoWritesPerformed; `_REFUSED` | Unavailable: the server, or the driver, began nothing |
| AutoReconnect and its kind | ConnectionLost: it may have happened, and a repeat may find the server well |
| a write concern error, `_OUTAGE`, a timeout | OutcomeUnknown: it may have happened |
| 11000 on an index of ours, `_CONFLICT` | Outrun: this statement did nothing: read and plan again |
| 11000 on another index, `_UNSTORABLE` | Unstorable: the server will not take this data, now or later |
| any other | CommandFailed: a bug of ours |

What the server says in words can quote the data, and is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from holdfast.errors import OutcomeUnknown, Unavailable

from .indexes import OURS

_BEGAN_NOTHING = ("SystemOverloadedError", "NoWritesPerformed")
_DUPLICATE_KEY = 11000
_REFUSED = {
    11: "the user is not known",
    13: "the user may not do this",
    18: "the authentication failed",
    26: "there is no such database or collection",
    27: "an index is missing: run `python -m adapters.migrate`",
    391: "the authentication has run out",
    8000: "the authentication failed",
}
_OUTAGE = {
    6: "the host is unreachable",
    7: "the host is not found",
    24: "a lock was not to be had in time",
    43: "the cursor is gone",
    50: "the time ran out",
    64: "a majority did not confirm in time",
    79: "the write concern is not known",
    89: "the network's time ran out",
    91: "the server is shutting down",
    100: "a majority cannot be reached",
    133: "there is no primary",
    134: "a majority's view is not there yet",
    175: "the query was ended",
    189: "the primary steps down",
    202: "the server's time ran out",
    237: "the cursor was ended",
    246: "a majority's view is gone",
    262: "the time limit was exceeded",
    9001: "a socket broke",
    10058: "there is no primary",
    10107: "the server is not the primary",
    11600: "the server is shutting down",
    11601: "the call was interrupted",
    11602: "the replica set changes",
    13388: "the shard's version is old",
    13435: "the server is not the primary",
    13436: "the server is recovering",
    14031: "the disk is full",
}
_CONFLICT = {112: "somebody else changes this document"}
_UNSTORABLE = {
    14: "a value has a type that is not allowed there",
    15: "it is nested too deeply",
    22: "it is not BSON",
    52: "a name begins with a dollar sign",
    54: "the nesting is not supported",
    55: "a DBRef is not valid",
    56: "a name is empty",
    57: "a name has a dot",
    121: "it does not pass the validation of the collection",
    146: "it takes too much memory",
    10334: "it is too large",
    17280: "a value is too long for an index",
    17419: "the document would be larger than 16 MB",
    17420: "the document would be larger than 16 MB",
}


class ConnectionLost(OutcomeUnknown):
    """The connection broke, or was found broken, during a call; or the primary is one no more."""


class Outrun(Exception):
    """Somebody else was quicker: nothing was written."""


class Unstorable(Exception):
    """The server will never take this data."""


class CommandFailed(Exception):
    """The server has refused what it should have taken: a bug of ours."""


class StatementsFailed(Exception):
    """Some statements of a bulk write have done nothing: `errors`, as the server describes each; the others landed."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(f"{len(errors)} statements failed")
        self.errors = errors


@contextmanager
def translated() -> Iterator[None]:
    """Raises in place of an error of pymongo what it means, without the words that it came with."""
    try:
        yield
    except PyMongoError as error:
        raise translate(error) from None


def translate(error: PyMongoError) -> Exception:
    """The meaning of an error of a whole call."""
    if isinstance(error, ServerSelectionTimeoutError):
        return Unavailable("MongoDB: no server that takes writes was found")
    if isinstance(error, ConfigurationError):
        return Unavailable("MongoDB: its name is not known, or it is no replica set")
    if isinstance(error, WaitQueueTimeoutError):
        return Unavailable("MongoDB: every connection of the pool is busy")
    if any(map(error.has_error_label, _BEGAN_NOTHING)):
        return Unavailable(f"MongoDB: {_words(error)}")
    if isinstance(error, NetworkTimeout):
        return OutcomeUnknown("MongoDB: no answer in time")
    if isinstance(error, BulkWriteError):
        return _of_bulk(error.details)
    if isinstance(error, ConnectionFailure):
        return ConnectionLost(f"MongoDB: {_words(error)}")
    return of_code(code(error))


def of_statement(error: Mapping[str, Any]) -> Exception:
    """The meaning of what the server says of one statement of a bulk write."""
    if error["code"] != _DUPLICATE_KEY:
        return of_code(error["code"])
    if tuple(error.get("keyPattern", {"_id": 1})) in OURS:
        return Outrun("somebody else was quicker")
    return Unstorable("MongoDB: there is another record with a value that must be unique (11000)")


def of_code(code: int) -> Exception:
    for table, kind in _TABLES:
        if code in table:
            return kind(f"MongoDB: {table[code]} ({code})")
    return CommandFailed(f"MongoDB failed with error {code}")


def _of_bulk(details: Mapping[str, Any]) -> Exception:
    if unconfirmed := details.get("writeConcernErrors"):
        return OutcomeUnknown(f"MongoDB: what was written may be rolled back ({unconfirmed[-1].get('code', 0)})")
    return StatementsFailed(details["writeErrors"])


def code(error: PyMongoError) -> int:
    """0 where there is none."""
    if isinstance(error, NotPrimaryError):
        return int(error.details.get("code", 0)) if isinstance(error.details, Mapping) else 0
    return error.code or 0 if isinstance(error, OperationFailure) else 0


def _words(error: PyMongoError) -> str:
    number = code(error)
    if number:
        return f"{_REFUSED.get(number) or _OUTAGE.get(number) or 'refused'} ({number})"
    return "the connection was refused or lost" if isinstance(error, AutoReconnect) else type(error).__name__


_TABLES: tuple[tuple[Mapping[int, str], type[Exception]], ...] = (
    (_REFUSED, Unavailable),
    (_OUTAGE, OutcomeUnknown),
    (_CONFLICT, Outrun),
    (_UNSTORABLE, Unstorable),
)
