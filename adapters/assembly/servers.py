"""The adapters that the settings ask for. Drivers are imported only where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import SecretStr

from holdfast.events import Listener
from holdfast.operations.ports import Cache, Ledger, Replicas, Store

from ..crash_points import with_points
from ..settings import Settings
from ..telemetry import Telemetry
from ..tls import TlsFiles

if TYPE_CHECKING:
    from ..celery_app import BrokerOptions
    from ..celery_doorbell import CeleryDoorbell
    from ..postgres_store import PostgresOptions

# The server gives a statement up a little sooner than we do, so that we mostly hear what became of it.
_SOONER = 0.9
# Of a call's time, the part that may go into waiting for what others have locked or keep changing.
_SHARE_FOR_LOCKS = 0.4


class Servers(NamedTuple):
    """doorbell: None in the memory profile, where there is nobody else to tell. replicas: None where none are named."""

    store: Store
    ledger: Ledger
    cache: Cache
    doorbell: CeleryDoorbell | None
    replicas: Replicas | None = None


def make_servers(settings: Settings, listener: Listener, telemetry: Telemetry) -> Servers:
    """Connects to nothing."""
    servers = _memory(settings) if settings.store == "memory" else _real(settings, listener, telemetry)
    servers = _traced(servers, settings, telemetry)
    return servers if settings.crash_points is None else _with_points(servers, settings.crash_points)


def broker_options(settings: Settings) -> BrokerOptions:
    from ..celery_app import BrokerOptions

    return BrokerOptions(
        secret(settings.broker_url),
        queue=settings.broker_queue,
        timeout=settings.broker_timeout,
        delivery_limit=settings.delivery_limit,
        tls=_tls(settings),
    )


def secret(value: SecretStr | None) -> str:
    """A URL that the settings have made sure of."""
    if value is None:
        raise ValueError("the memory profile has no servers")
    return value.get_secret_value()


def _with_points(servers: Servers, folder: Path) -> Servers:
    return Servers(
        with_points(servers.store, "store", folder),
        with_points(servers.ledger, "ledger", folder),
        with_points(servers.cache, "cache", folder),
        None if servers.doorbell is None else with_points(servers.doorbell, "doorbell", folder),
        servers.replicas,
    )


def _tls(settings: Settings) -> TlsFiles:
    return TlsFiles(settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)


def _traced(servers: Servers, settings: Settings, telemetry: Telemetry) -> Servers:
    store = {"postgres": "postgresql", "mongo": "mongodb"}.get(settings.store, settings.store)
    ledger = "memory" if settings.store == "memory" else "redis"
    return servers._replace(
        store=telemetry.store(servers.store, store), ledger=telemetry.ledger(servers.ledger, ledger)
    )


def _memory(settings: Settings) -> Servers:
    from ..memory_cache import MemoryCache
    from ..memory_ledger import MemoryLedger
    from ..memory_store import MemoryStore

    ledger = MemoryLedger(max_waiting=settings.ledger_capacity, retention=settings.job_retention)
    return Servers(MemoryStore(), ledger, MemoryCache(size=settings.memory_cache_size), None)


def _real(settings: Settings, listener: Listener, telemetry: Telemetry) -> Servers:
    doorbell = _doorbell(settings, listener, telemetry)
    replicas = _replicas(settings, listener)
    return Servers(_store(settings), _ledger(settings, listener), _cache(settings), doorbell, replicas)


def _store(settings: Settings) -> Store:
    return _mongo(settings) if settings.store == "mongo" else _postgres(settings)


def _mongo(settings: Settings) -> Store:
    from ..mongo_store import MongoOptions, MongoStore

    return MongoStore(
        MongoOptions(
            _tls(settings).mongo(secret(settings.mongo_url)),
            pool_size=settings.store_pool,
            timeout=settings.store_timeout * _SOONER,
            patience=settings.store_timeout * _SHARE_FOR_LOCKS,
        )
    )


def _postgres(settings: Settings) -> Store:
    from ..postgres_store import PostgresStore

    return PostgresStore(_postgres_options(settings, settings.postgres_url, settings.store_timeout))


def _replicas(settings: Settings, listener: Listener) -> Replicas | None:
    if settings.store != "postgres" or not settings.postgres_replica_urls:
        return None
    from ..postgres_store import PostgresReplicas

    timeout = settings.postgres_replica_timeout
    options = [_postgres_options(settings, url, timeout) for url in settings.postgres_replica_urls]
    return PostgresReplicas(options, timeout=timeout, listener=listener)


def _postgres_options(settings: Settings, url: SecretStr | None, timeout: float) -> PostgresOptions:
    from ..postgres_store import PostgresOptions

    return PostgresOptions(
        secret(url),
        pool_size=settings.store_pool,
        pool_timeout=timeout,
        connect_timeout=timeout,
        statement_timeout=timeout * _SOONER,
        lock_timeout=timeout * _SHARE_FOR_LOCKS,
        tls=_tls(settings),
    )


def _ledger(settings: Settings, listener: Listener) -> Ledger:
    from ..redis_ledger import RedisLedger, RedisLedgerOptions

    options = RedisLedgerOptions(
        _tls(settings).redis(secret(settings.ledger_url)),
        pool_size=settings.ledger_pool,
        connect_timeout=settings.ledger_timeout,
        timeout=settings.ledger_timeout,
        durability=settings.ledger_durability,
        max_waiting=settings.ledger_capacity,
        retention=settings.job_retention,
    )
    return RedisLedger(options, listener=listener)


def _cache(settings: Settings) -> Cache:
    from ..redis_cache import RedisCache, RedisCacheOptions

    return RedisCache(
        RedisCacheOptions(
            _tls(settings).redis(secret(settings.cache_url)),
            pool_size=settings.cache_pool,
            connect_timeout=settings.cache_timeout,
            timeout=settings.cache_timeout,
            ttl=settings.cache_ttl,
            max_item=settings.cache_max_item,
        )
    )


def _doorbell(settings: Settings, listener: Listener, telemetry: Telemetry) -> CeleryDoorbell:
    from ..celery_app import TASK, make_app, sending
    from ..celery_doorbell import CeleryDoorbell, DoorbellOptions

    options = broker_options(settings)
    return CeleryDoorbell(
        telemetry.sender(make_app(options), "rabbitmq" if options.amqp else "redis"),
        TASK,
        sending(options),
        options=DoorbellOptions(
            keys=settings.doorbell_keys, capacity=settings.doorbell_capacity, enough=settings.doorbell_enough
        ),
        listener=listener,
    )
