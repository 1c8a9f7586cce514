"""Brings the store's schema up to date: `python -m adapters.migrate`. Any number may run at once.

Exit codes: 0 done, 1 it could not be done, 2 wrong arguments or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from .tls import TlsFiles

VARIABLE = "HOLDFAST_POSTGRES_URL"
EXAMPLE = "postgresql://holdfast:secret@localhost:5432/holdfast"

# Any number will do that nobody else takes: "holdfast" in ASCII.
_LOCK = int.from_bytes(b"holdfast") >> 1
# A lock on a table in use makes everyone queue behind it: rather fail than stop the traffic.
_TABLE_LOCK_TIMEOUT = 5
_PAUSE = 0.5

Tell = Callable[[str], object]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    store = os.environ.get("HOLDFAST_STORE") or "postgres"
    if store not in ("postgres", "mongo", "memory"):
        return _fail(f"HOLDFAST_STORE={store!r} must be 'postgres', 'mongo' or 'memory'", code=2)
    if store == "memory":
        _say("HOLDFAST_STORE=memory has no schema: there is nothing to do")
        return 0
    if store == "mongo":
        from . import migrate_mongo

        return migrate_mongo.run(options.wait, _tls(), _say)
    return _postgres(options.wait)


def _postgres(wait: float) -> int:
    url = os.environ.get(VARIABLE, "")
    if not url:
        return _fail(f"{VARIABLE} is not set; for example {VARIABLE}={EXAMPLE}", code=2)
    try:
        url = make_conninfo(**(_tls().libpq() | conninfo_to_dict(url)))  # type: ignore[arg-type]
    except psycopg.ProgrammingError:
        return _fail(f"{VARIABLE} is not a URL that PostgreSQL understands; for example {VARIABLE}={EXAMPLE}", code=2)
    try:
        revision = migrate(url, wait=wait, tell=_say)
    except (DBAPIError, psycopg.Error, CommandError) as error:
        return _fail(str(error.orig if isinstance(error, DBAPIError) else error).strip())
    _say(f"the schema is up to date, at revision {revision}")
    return 0


def migrate(url: str, *, wait: float = 60.0, tell: Tell = lambda _: None) -> str:
    """Upgrade to the newest revision, in one transaction, and return it.

    wait: seconds for the server to come up, and again for another migration to end.
    Raises psycopg.OperationalError, DBAPIError, or CommandError where the schema is newer than this code.
    """
    connection = _connect(url, wait, tell)
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
    with engine.begin() as transaction:
        return _upgrade(transaction, wait, tell)


def _upgrade(connection: Connection, wait: float, tell: Tell) -> str:
    _take_turn(connection, wait, tell)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_TABLE_LOCK_TIMEOUT}s'")
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, "head")
    return str(connection.exec_driver_sql("SELECT version_num FROM holdfast_version").scalar_one())


def _take_turn(connection: Connection, wait: float, tell: Tell) -> None:
    """Hold the lock of migrations until the transaction ends."""
    if connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})").scalar_one():
        return
    tell("another migration is running; waiting for it")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, round(wait * 1000))}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _connect(url: str, wait: float, tell: Tell) -> psycopg.Connection:
    """Try until the server takes connections, telling each new reason why it does not."""
    until, told = time.monotonic() + wait, ""
    while True:
        try:
            return psycopg.connect(url, connect_timeout=5, application_name="holdfast-migrate")
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
            if time.monotonic() >= until:
                raise psycopg.OperationalError(f"PostgreSQL takes no connections: {reason}") from error
        if reason != told:
            tell(f"waiting for PostgreSQL: {reason}")
            told = reason
        time.sleep(_PAUSE)


def _tls() -> TlsFiles:
    given = (os.environ.get(f"HOLDFAST_TLS_{name}_FILE") for name in ("CA", "CERT", "KEY"))
    return TlsFiles(*(Path(file) if file else None for file in given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m adapters.migrate",
        description=f"Brings the schema of the database that {VARIABLE} names up to date, or, where "
        "HOLDFAST_STORE=mongo, the indexes of HOLDFAST_MONGO_URL. Any number may run at once.",
        epilog="Exit codes: 0 done, 1 it could not be done, 2 wrong arguments or settings.",
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="wait this long for a server that is starting, or for another migration (default: 60)",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"must be seconds from 0 to 86400, got {text!r}")
    return seconds


def _say(text: str) -> None:
    sys.stderr.write(f"migrate: {text}\n")


def _fail(text: str, *, code: int = 1) -> int:
    _say(text)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
