"""Users and passwords with all that means something in a URL, percent-encoded, at servers that check them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import redis

from adapters.celery_app import TASK, BrokerOptions, make_app, sending
from adapters.celery_doorbell import CeleryDoorbell, DoorbellOptions
from adapters.migrate import migrate
from adapters.mongo_store import migrate as migrate_mongo
from adapters.postgres_store import PostgresOptions, PostgresStore
from adapters.redis_cache import RedisCache, RedisCacheOptions
from adapters.redis_ledger import RedisLedger, RedisLedgerOptions
from adapters.settings import Settings
from holdfast.errors import HoldfastError
from holdfast.operations.model import Resource
from tests.support import stores
from tests.support.mongo import client, mongo_store, running_mongo
from tests.support.processes import wait_until
from tests.support.rabbitmq import running_rabbitmq
from tests.support.servers import running_postgres, running_valkey

# RabbitMQ is slow to start on a machine that has much else to do.
pytestmark = pytest.mark.timeout(300)

USER, PASSWORD = "me@home", "p@ss/w:o?r#d%41[x]"
KEYS = [Resource("notes", "1")]


def named(url: str, password: str = PASSWORD) -> str:
    """The URL, with the user in it."""
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{quote(USER, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    ).geturl()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as server:
        migrate(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE \"{USER}\" SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
            (rules,) = connection.execute("SHOW hba_file").fetchone() or ()
            asking = f'host all "{USER}" 127.0.0.1/32 scram-sha-256'
            connection.execute(f"COPY (SELECT '{asking}') TO PROGRAM 'cat > {rules}'")
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: not connects(server.url), "it asks for the password")
        yield server.url


def connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with running_valkey() as server:
        with redis.Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
            admin.execute_command("ACL", "SETUSER", "default", "off")
        yield server.url


@pytest.mark.parametrize(("password", "good"), [(PASSWORD, True), ("another", False)])
async def test_postgres_knows_the_user(postgres: str, password: str, good: bool) -> None:
    url = taken("postgres_url", named(postgres, password))
    store = PostgresStore(PostgresOptions(url, **stores.PATIENT))
    await answers(store.ping, store.close, good=good)


@pytest.mark.parametrize(("password", "good"), [(PASSWORD, True), ("another", False)])
async def test_redis_knows_the_user_as_ledger_cache_and_broker(valkey: str, password: str, good: bool) -> None:
    ledger = RedisLedger(RedisLedgerOptions(taken("ledger_url", named(valkey, password)), timeout=20))
    await answers(ledger.ping, ledger.close, good=good)
    cache = RedisCache(RedisCacheOptions(taken("cache_url", named(valkey, password)), timeout=20))
    await answers(cache.ping, cache.close, good=good)
    await rings(taken("broker_url", named(valkey, password)), good=good)


@pytest.mark.parametrize(("password", "good"), [(PASSWORD, True), ("another", False)])
async def test_rabbitmq_knows_the_user(rabbitmq: str, password: str, good: bool) -> None:
    await rings(taken("broker_url", named(rabbitmq, password)), good=good)


@pytest.mark.parametrize(("password", "good"), [(PASSWORD, True), ("another", False)])
async def test_mongo_knows_the_user(mongo: str, password: str, good: bool) -> None:
    async with mongo_store(taken("mongo_url", named(mongo, password))) as store:
        await answers(store.ping, store.close, good=good)


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[str]:
    with running_rabbitmq() as server:
        control = [*server._command[:-1], "/usr/lib/rabbitmq/bin/rabbitmqctl"]
        for words in (["add_user", USER, PASSWORD], ["set_permissions", USER, ".*", ".*", ".*"]):
            subprocess.run([*control, *words], check=True, capture_output=True)
        yield server.url


@pytest.fixture(scope="module")
def mongo() -> Iterator[str]:
    with running_mongo() as server:
        asyncio.run(migrate_mongo(server.url))
        with client(server.url) as admin:
            database = admin.get_default_database()
            database.command("createUser", USER, pwd=PASSWORD, roles=["dbOwner"])
        server.stop()
        server._command.append("--auth")
        home, server.url = server.url, named(server.url)
        server.start()
        yield home


def taken(name: str, url: str) -> str:
    """The URL as the settings have it."""
    others = dict.fromkeys(("ledger_url", "cache_url", "broker_url"), "redis://localhost/0")
    stores = {"postgres_url": "postgresql://localhost/x", "mongo_url": "mongodb://localhost/x"}
    given = {"store": "mongo" if name == "mongo_url" else "postgres", **others, **stores, name: url}
    return str(getattr(Settings.model_validate(given), name).get_secret_value())


async def answers(ping: Callable[[], object], close: Callable[[], object], *, good: bool) -> None:
    refused: Exception | None = None
    try:
        await ping()  # type: ignore[misc]
    except HoldfastError as error:
        refused = error
    finally:
        await close()  # type: ignore[misc]
    assert (refused is None) == good, refused
    assert PASSWORD not in str(refused)


async def rings(url: str, *, good: bool) -> None:
    options = BrokerOptions(url, timeout=20)
    doorbell = CeleryDoorbell(make_app(options), TASK, sending(options), options=DoorbellOptions(patience=60))
    await answers(lambda: doorbell.ring(KEYS), doorbell.close, good=good)
