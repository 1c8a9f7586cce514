"""PostgreSQL that is up and does not work. The target is `postgres`."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ..errors import Impossible
from ..system import System, to_its_end

_Options = Mapping[str, Any]
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> %s"
)
_RETRIES = 100


async def _connect(system: System) -> psycopg.AsyncConnection[Any]:
    """Connect as soon as the server lets us in: it may be starting."""
    for attempt in range(_RETRIES):
        try:
            return await psycopg.AsyncConnection.connect(system.server("postgres"), autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            if attempt == _RETRIES - 1:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError


@asynccontextmanager
async def terminate(system: System, _target: str, _options: _Options) -> AsyncIterator[None]:
    """Every connection is ended with `pg_terminate_backend`, once."""
    async with await _connect(system) as connection:
        await connection.execute(_TERMINATE, [connection.info.backend_pid])
    yield


@asynccontextmanager
async def read_only(system: System, _target: str, _options: _Options) -> AsyncIterator[None]:
    """Every new transaction is read-only, as on a standby."""
    try:
        await to_its_end(_configure(system, "default_transaction_read_only", "on"))
        yield
    finally:
        await _configure(system, "default_transaction_read_only", None)


async def _configure(system: System, name: str, value: str | None) -> None:
    async with await _connect(system) as connection:
        await connection.execute("SET default_transaction_read_only = off")
        reset = sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name))
        change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
        await connection.execute(reset if value is None else change)
        await connection.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def exhaust(system: System, _target: str, _options: _Options) -> AsyncIterator[None]:
    """Every connection that it can have is taken, those of the programs included."""
    ours = [await _connect(system)]
    try:
        await _take_all(system, ours)
        await ours[0].execute(_TERMINATE + " AND pid <> ALL(%s)", [0, [each.info.backend_pid for each in ours]])
        await _take_all(system, ours)
        yield
    finally:
        for connection in ours:
            await connection.close()


async def _take_all(system: System, ours: list[psycopg.AsyncConnection[Any]]) -> None:
    with suppress(psycopg.OperationalError):
        while True:
            ours.append(await psycopg.AsyncConnection.connect(system.server("postgres"), autocommit=True))


@asynccontextmanager
async def lock(system: System, _target: str, _options: _Options) -> AsyncIterator[None]:
    """Somebody holds a lock on the records, as a careless migration does."""
    async with await _connect(system) as connection, connection.transaction():
        await connection.execute("LOCK TABLE records IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def disk_full(system: System, _target: str, options: _Options) -> AsyncIterator[None]:
    """Its disk has no room left. Its data is moved to a small file system first, for which it is stopped shortly.

    spare: megabytes that are free before the rest is filled up. Needs root and Linux.
    """
    data, ballast = system.folder / "postgres", system.folder / "postgres" / "ballast"
    try:
        await system.steer("stop", "postgres")
        await to_its_end(asyncio.to_thread(_to_small_disk, data, int(options.get("spare", 32))))
        await system.steer("start", "postgres")
        await to_its_end(asyncio.to_thread(_fill, ballast))
        yield
    finally:
        ballast.unlink(missing_ok=True)
        await system.steer("stop", "postgres")
        if data.is_mount():
            await asyncio.to_thread(_back_to_large_disk, data)
        await system.steer("start", "postgres")


def _to_small_disk(data: Path, spare: int) -> None:
    kept = data.with_name("postgres.kept")
    size = sum(each.stat().st_size for each in data.rglob("*") if each.is_file()) // 2**20 + spare
    data.rename(kept)
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", data], capture_output=True)
    if mounted.returncode:
        data.rmdir()
        kept.rename(data)
        raise Impossible(f"this scenario needs the right to mount a file system: {mounted.stderr.decode().strip()}")
    _copy(kept, data)


def _back_to_large_disk(data: Path) -> None:
    new, kept = data.with_name("postgres.back"), data.with_name("postgres.kept")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    _copy(data, new)
    subprocess.run(["umount", data], check=True)
    data.rmdir()
    new.rename(data)
    shutil.rmtree(kept)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", f"{source}/.", target], check=True)


def _fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
