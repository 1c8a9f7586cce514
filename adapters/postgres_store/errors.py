"""What the errors of psycopg mean, by their class and SQLSTATE (PostgreSQL, appendix A).

| error | means |
| --- | --- |
| any, while connecting or waiting for a connection | Unavailable |
| no SQLSTATE, or the connection is gone, 08, 57P01 … 57P05, 40003 | ConnectionLost: it may have happened |
| `_OUTAGE` | Unavailable: the server undid the statement, and any other would fare the same |
| `_CONFLICT`, or an operation's id that is there already | nothing happened: read and plan again |
| `_UNSTORABLE` | the server will not take this data, now or later |
| any other | a bug of ours, raised as it is |
"""

from __future__ import annotations

import psycopg

from holdfast.errors import OutcomeUnknown, Unavailable

_LOST = ("08", "57P01", "57P02", "57P03", "57P04", "57P05", "40003")
_OUTAGE = (
    "25006",  # read-only: a standby, or a primary that was demoted
    "28",  # authorization
    "3D",  # no such database
    "3F",  # no such schema
    "42501",  # no privilege
    "42703",  # no such column
    "42P01",  # no such table
    "53",  # out of memory, disk or connections
    "55",  # not in the prerequisite state; a table is locked (55P03)
    "57",  # operator intervention, statement_timeout among them
    "58",  # system error
    "F0",  # configuration file
    "XX",  # internal error
)
_NOT_MIGRATED = ("42703", "42P01")
_CONFLICT = ("40001", "40P01")
_UNSTORABLE = (
    "22",  # data exception: a NUL character, a number out of range
    "23",  # a constraint, also one that the application has added
    "44",  # WITH CHECK OPTION
    "54",  # a program limit: a key too long for the index
    "P0",  # raised by a trigger
)


class ConnectionLost(OutcomeUnknown):
    """The connection broke, or was found broken, during a statement."""


class Unencodable(Exception):
    """There is no JSON for this data."""


def translate(error: psycopg.Error, *, lost: bool) -> Exception:
    """The meaning of an error of a statement: Transient, or the error itself. lost: its connection is gone."""
    state = error.sqlstate or ""
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not state:
        return ConnectionLost(describe(error))
    if lost or state.startswith(_LOST):
        return ConnectionLost(describe(error))
    if state in _NOT_MIGRATED:
        return Unavailable(f"{describe(error)}: run `python -m adapters.migrate`")
    if state.startswith(_OUTAGE):
        return Unavailable(describe(error))
    return error


def outrun(error: Exception) -> bool:
    """Somebody else was quicker: read and plan again."""
    if isinstance(error, psycopg.errors.UniqueViolation):
        return error.diag.constraint_name == "operations_pkey"
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_CONFLICT)


def unstorable(error: Exception) -> bool:
    """The server will never take this data."""
    if isinstance(error, Unencodable):
        return True
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_UNSTORABLE)


def describe(error: Exception) -> str:
    """In one line, without the data."""
    if not isinstance(error, psycopg.Error):
        return f"PostgreSQL: {error}"
    text = error.diag.message_primary or str(error).strip().partition("\n")[0]
    return f"PostgreSQL: {text} ({error.sqlstate or type(error).__name__})"
