"""Whoever ends a run while a fault is just being made leaves nothing of it behind."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from chaos.errors import Impossible
from chaos.faults import broken
from chaos.http import Connection
from chaos.scenario import Scenario, Step
from chaos.toxiproxy import Link, Toxiproxy, find
from chaos.toxiproxy import running as toxiproxy
from tests.support.polling import WAIT, until
from tests.support.processes import Server, free_port, missing


class Servers:
    """A system of servers alone."""

    store = "postgres"
    folder = Path()
    urls: Sequence[str] = ()

    def __init__(self, url: str = "", proxies: Toxiproxy | None = None) -> None:
        self._url = url
        self.proxies = proxies

    def require(self, scenario: Scenario) -> None:
        """It takes any."""

    def links(self, target: str) -> list[str]:
        return [target]

    def server(self, name: str) -> str:
        return self._url

    async def steer(self, command: str, name: str) -> None:
        raise AssertionError(name)

    async def process(self, name: str) -> psutil.Process:
        raise AssertionError(name)

    async def until_ready(self, name: str) -> None:
        raise AssertionError(name)

    async def keep_logs(self, folder: Path) -> None:
        raise AssertionError(folder)


async def cut_short(
    fault: AbstractAsyncContextManager[None], owner: type, method: str, monkeypatch: pytest.MonkeyPatch, call: int = 1
) -> None:
    """Make the fault, and cancel that when what this call of `method` asks for is done and its answer still to come."""
    real, calls, done, answered = getattr(owner, method), itertools.count(1), asyncio.Event(), asyncio.Event()

    async def late(*args: Any, **kwargs: Any) -> Any:
        answer = await real(*args, **kwargs)
        if next(calls) == call:
            done.set()
            await answered.wait()
        return answer

    monkeypatch.setattr(owner, method, late)
    making = asyncio.ensure_future(fault.__aenter__())
    await until(done.is_set)
    making.cancel()
    await asyncio.sleep(0)
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await making


async def test_a_server_without_memory_has_it_again(private_valkey: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis.Redis.from_url(private_valkey.url) as client:
        before = client.config_get("maxmemory")
        fault = broken(Servers(private_valkey.url), Step("fill", "ledger"))
        await cut_short(fault, redis.asyncio.Redis, "config_set", monkeypatch)
        assert client.config_get("maxmemory") == before


async def test_a_store_that_was_read_only_takes_writes_again(
    private_postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = broken(Servers(private_postgres.url), Step("read-only", "postgres"))
    await cut_short(fault, psycopg.AsyncConnection, "execute", monkeypatch, call=2)
    with psycopg.connect(private_postgres.url, autocommit=True) as connection:
        set_ = connection.execute("SELECT count(*) FROM pg_file_settings WHERE name = 'default_transaction_read_only'")
        assert set_.fetchone() == (0,)


@pytest.mark.parametrize(("fault", "method"), [("half-open", "poison"), ("down", "enable")])
async def test_a_connection_is_whole_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, method: str
) -> None:
    try:
        find()
    except Impossible as error:
        missing(str(error))
    port = free_port()
    link = Link("api-ledger", f"127.0.0.1:{free_port()}", "127.0.0.1:1")
    async with toxiproxy(port, [link], tmp_path / "log") as proxies:
        await cut_short(broken(Servers(proxies=proxies), Step(fault, link.name)), Toxiproxy, method, monkeypatch)
        with Connection(f"http://127.0.0.1:{port}", timeout=WAIT) as connection:
            told = json.loads((await connection.request("GET", f"/proxies/{link.name}")).body)
        assert (told["enabled"], told["toxics"]) == (True, [])
