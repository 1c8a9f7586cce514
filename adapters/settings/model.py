"""Every setting: its name, type, default, limits, unit, meaning and an example.

The environment variable of a field is its name in capitals after `HOLDFAST_`; a field of a group comes after the
group's name: `HOLDFAST_STORE_BREAKER_FAILURE_RATE`. Durations are seconds. The reference page, `.env.example` and
the messages about wrong values are all made from what stands here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .urls import BrokerUrl, MongoUrl, PostgresUrl, PostgresUrls, RedisUrl

PREFIX = "HOLDFAST_"

T = TypeVar("T", int, float)

# Where the records live, by the setting that says where the server is.
_STORES = {"postgres_url": "postgres", "mongo_url": "mongo"}


def _setting(default: Any, text: str, example: object = None, *, unit: str = "", **limits: Any) -> Any:
    """A documented field; the default is the example where none is given."""
    shown = default if example is None else example
    if isinstance(default, float):
        limits["allow_inf_nan"] = False
    return Field(default, description=text, examples=[str(shown)], json_schema_extra={"unit": unit}, **limits)


class BreakerSettings(BaseModel):
    """When calls to one dependency stop, and when they are tried again."""

    model_config = ConfigDict(frozen=True)

    window_size: int = _setting(6, "The last calls that are judged; one call carries a batch.", unit="calls", ge=1)
    minimum_calls: int = _setting(3, "Calls in the window before it is judged.", unit="calls", ge=1)
    failure_rate: float = _setting(0.5, "Opens at this rate of failed calls.", unit="fraction", gt=0, le=1)
    slow_call_rate: float = _setting(1.0, "Opens at this rate of slow calls.", unit="fraction", gt=0, le=1)
    slow_call: float = _setting(
        60.0, "From this long on a call counts as slow; above the timeout, none does.", 0.8, unit="seconds", gt=0
    )
    open: float = _setting(0.5, "Stays open this long before the first probe.", unit="seconds", gt=0)
    open_max: float = _setting(
        2.0,
        "Stays open at most this long when probes keep failing; no request serves as a probe.",
        unit="seconds",
        gt=0,
    )
    probe_lease: float = _setting(
        10.0, "A probe that hangs gives its place to another after this long.", unit="seconds", gt=0
    )

    @field_validator("minimum_calls")
    @classmethod
    def _fits_the_window(cls, value: int, info: ValidationInfo) -> int:
        return _at_most(value, info, "window_size")

    @field_validator("open_max")
    @classmethod
    def _not_below_open(cls, value: float, info: ValidationInfo) -> float:
        return _at_least(value, info, "open")


class Settings(BaseSettings):
    """All settings of a process. Made by `load`, which knows how to tell a person what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        enable_decoding=False,
        validate_default=True,
        frozen=True,
    )

    # What there is and where
    store: Literal["postgres", "mongo", "memory"] = Field(
        description="Where records live. `memory` is the profile without servers: all is gone when the process ends.",
        examples=["postgres"],
        json_schema_extra={"unit": ""},
    )
    postgres_url: PostgresUrl | None = _setting(
        None, "The store. Needed for `postgres`.", "postgresql://holdfast:secret@localhost:5432/holdfast"
    )
    postgres_replica_urls: PostgresUrls | None = _setting(
        None,
        "Replicas of the store, with commas between them: read from while the store itself cannot be asked.",
        "postgresql://holdfast:secret@replica1:5432/holdfast,postgresql://holdfast:secret@replica2:5432/holdfast",
    )
    mongo_url: MongoUrl | None = _setting(
        None,
        "The store. Needed for `mongo`: a replica set of MongoDB, TLS by the options of the URL.",
        "mongodb://holdfast:secret@localhost:27017/holdfast?tls=true",
    )
    ledger_url: RedisUrl | None = _setting(
        None,
        "The ledger of held operations: a Redis with `appendfsync always` and `noeviction`. Not needed for `memory`.",
        "redis://localhost:6379/0",
    )
    cache_url: RedisUrl | None = _setting(
        None, "The cache: another Redis, which may evict. Not needed for `memory`.", "redis://localhost:6380/0"
    )
    broker_url: BrokerUrl | None = _setting(
        None, "Celery's broker, Redis or RabbitMQ. Not needed for `memory`.", "redis://localhost:6379/1"
    )

    # The API
    api_host: str = _setting("127.0.0.1", "The address to listen on; `0.0.0.0` is every one.")
    api_port: int = _setting(8000, "The port to listen on.", ge=0, le=65535)
    max_body: int = _setting(1_048_576, "The largest request body.", unit="bytes", ge=1)
    max_id_length: int = _setting(255, "The longest id of a record.", unit="characters", ge=1, le=255)
    max_depth: int = _setting(32, "The deepest nesting of a body.", unit="levels", ge=1, le=200)
    page_size: int = _setting(100, "Items of a page where `limit` is not given.", unit="items", ge=1)
    max_page_size: int = _setting(1000, "The largest `limit`.", unit="items", ge=1, le=10_000)
    max_requests: int = _setting(2000, "Requests at the same time; more get 503 at once.", unit="requests", ge=1)
    keys_file: Path | None = _setting(
        None,
        "The API keys, written by `holdfast keys` and read again when it changes. Without it no key is asked for.",
        "/etc/holdfast/keys.json",
    )
    open: Literal["loopback", "anywhere"] = _setting(
        "loopback",
        "Where the API may listen without keys: on `loopback` only, or `anywhere`, behind a gateway of yours that knows"
        " who asks.",
    )
    monitoring: Literal["keys", "open"] = _setting(
        "keys", "With keys, `/health` and `/metrics` need one with the scope `read` (`keys`), or none (`open`)."
    )
    rate_limit: int | None = _setting(
        None,
        "Requests that one principal may send in each period, to one process; more get 429. Empty: any number.",
        600,
        unit="requests",
        ge=1,
        le=1_000_000,
    )
    rate_period: float = _setting(60.0, "The period of the rate limit.", unit="seconds", ge=1, le=86_400)
    shutdown_grace: float = _setting(
        10.0, "At its end a process lets work in flight finish for this long.", unit="seconds", gt=0
    )

    # TLS
    tls_ca_file: Path | None = _setting(
        None,
        "Who signs the certificates of PostgreSQL, MongoDB, Redis and RabbitMQ, as PEM; with it PostgreSQL must prove"
        " itself (`sslmode=verify-full`, where the URL says nothing else). Empty: whom the system trusts.",
        "/etc/holdfast/ca.pem",
    )
    tls_cert_file: Path | None = _setting(
        None,
        "The certificate that is shown to servers that ask for one, as PEM; MongoDB's is named by its URL"
        " (`tlsCertificateKeyFile`).",
        "/etc/holdfast/client.pem",
    )
    tls_key_file: Path | None = _setting(None, "Its key, as PEM.", "/etc/holdfast/client.key")
    api_tls_cert_file: Path | None = _setting(
        None, "The API's own certificate with its chain, as PEM: it speaks TLS then.", "/etc/holdfast/api.pem"
    )
    api_tls_key_file: Path | None = _setting(None, "Its key, as PEM.", "/etc/holdfast/api.key")

    # Metrics
    metrics_host: str = _setting("127.0.0.1", "Worker and sweeper serve their metrics on this address.")
    metrics_port: int | None = _setting(
        None,
        "Worker and sweeper serve `/metrics` on this port, each on its own; without it they serve none. The API serves"
        " its own, on its own port.",
        9464,
        ge=0,
        le=65535,
    )

    # Logs and supervision
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "The least severe line that is shown.")
    log_format: Literal["auto", "text", "json"] = _setting(
        "auto", "Lines for people, or one JSON object per line; `auto` is for people on a terminal, JSON elsewhere."
    )
    access_log: Literal["off", "on"] = _setting("off", "A line for each request: method, route, status, duration.")
    trace_ratio: float = _setting(
        0.05,
        "Of requests that come without a trace, this part is traced, once OTEL_EXPORTER_OTLP_ENDPOINT says where to.",
        unit="fraction",
        ge=0,
        le=1,
    )
    ready_file: Path | None = _setting(
        None, "Worker and sweeper make this file when they are ready and remove it at their end.", "/run/holdfast/ready"
    )

    # Writes
    ordering: Literal["available", "strict"] = _setting(
        "available",
        "While the ledger cannot be asked: `available` writes to the store, except where a backlog is known;"
        " `strict` refuses every write.",
    )
    store_timeout: float = _setting(1.0, "A call to the store is given up after this long.", unit="seconds", gt=0)
    postgres_replica_timeout: float = _setting(
        0.3, "A call to a replica is given up after this long.", unit="seconds", gt=0
    )
    ledger_timeout: float = _setting(0.5, "A call to the ledger is given up after this long.", unit="seconds", gt=0)
    cache_timeout: float = _setting(0.2, "A call to the cache is given up after this long.", unit="seconds", gt=0)
    broker_timeout: float = _setting(1.0, "Each step of sending a doorbell may take this long.", unit="seconds", gt=0)
    write_patience: float = _setting(
        1.0, "A write that waited longer for its turn is held instead of tried.", unit="seconds", gt=0
    )
    batch_size: int = _setting(256, "Most operations that share a round trip.", unit="operations", ge=1, le=10_000)
    batches_in_flight: int = _setting(3, "Batches of writes at the same time.", unit="batches", ge=1, le=100)
    write_queue: int = _setting(2048, "Writes that may wait for a batch; more get 503 at once.", unit="writes", ge=1)

    # Breakers
    store_breaker: BreakerSettings = Field(BreakerSettings(), description="Calls to the store.")
    ledger_breaker: BreakerSettings = Field(BreakerSettings(), description="Calls to the ledger.")
    cache_breaker: BreakerSettings = Field(BreakerSettings(), description="Calls to the cache.")

    # Connections
    store_pool: int = _setting(8, "Connections of a process to the store.", unit="connections", ge=1, le=1000)
    ledger_pool: int = _setting(16, "Connections of a process to the ledger.", unit="connections", ge=1, le=1000)
    cache_pool: int = _setting(16, "Connections of a process to the cache.", unit="connections", ge=1, le=1000)

    # The ledger
    ledger_durability: Literal["verify", "trust"] = _setting(
        "verify",
        "`verify` holds nothing in a Redis that is set so that it may forget; `trust` does not check.",
    )
    ledger_capacity: int = _setting(
        1_000_000, "Operations that may be held at the same time; more get 503.", unit="operations", ge=1
    )
    job_retention: float = _setting(
        86_400.0, "A settled job can be polled for this long; dead ones stay.", unit="seconds", ge=60
    )
    operation_retention: float = _setting(
        604_800.0,
        "The store remembers the ids of operations for this long: a repeat with the same key is recognised.",
        unit="seconds",
        ge=3600,
    )

    # The cache
    cache_ttl: float = _setting(604_800.0, "A cached record is forgotten after this long.", unit="seconds", ge=1)
    cache_max_item: int = _setting(262_144, "A larger record is not cached.", unit="bytes", ge=1)
    memory_cache_size: int = _setting(10_000, "Records in the cache of the memory profile.", unit="records", ge=1)

    # Replay
    lease_ttl: float = _setting(
        15.0, "A worker's right to a mailbox; if it dies, another takes over then.", unit="seconds", ge=2, le=600
    )
    replay_slice: float = _setting(
        10.0, "A replay ends after this long and leaves the rest to the next.", unit="seconds", gt=0, le=300
    )
    replay_depth: int = _setting(64, "Operations of one mailbox in one batch.", unit="operations", ge=1, le=5000)
    replay_lanes: int = _setting(2, "Batches that a replay has on their way at once.", unit="batches", ge=1, le=16)
    replay_batch: int = _setting(1024, "Most operations of a replay's batch.", unit="operations", ge=16, le=10_000)
    replay_target: float = _setting(
        0.02, "Batches get smaller while store or ledger take longer than this for one.", unit="seconds", gt=0, le=10
    )
    replay_rest: float = _setting(
        0.25, "A replay rests after each batch, for this part of the time that it took.", unit="fraction", ge=0, le=100
    )
    max_attempts: int = _setting(
        8, "Failures by its own fault after which an operation is dead; an outage never counts.", unit="attempts", ge=1
    )
    dead_policy: Literal["block", "pass"] = _setting(
        "block", "What follows a dead operation on its resource waits for a decision (`block`) or goes on (`pass`)."
    )

    # Worker, doorbell, sweeper
    worker_concurrency: int = _setting(2, "Child processes of a worker.", unit="processes", ge=1, le=256)
    broker_queue: str = _setting("holdfast", "The queue of the doorbell.", pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    delivery_limit: int = _setting(
        20,
        "RabbitMQ: a message that was delivered so often goes to the dead-letter queue.",
        unit="deliveries",
        ge=1,
    )
    doorbell_keys: int = _setting(500, "Resource keys in one message.", unit="keys", ge=1, le=10_000)
    doorbell_capacity: int = _setting(
        100_000, "Keys that may wait to be sent; more are left to the sweeper.", unit="keys", ge=1
    )
    doorbell_enough: int = _setting(
        100, "No doorbell is sent while so many are in the queue: any one leads to all work.", unit="messages", ge=1
    )
    workers_silent_after: float = _setting(
        10.0, "The sweeper replays by itself what the workers have left alone for this long.", unit="seconds", gt=0
    )
    sweep_interval: float = _setting(0.5, "The sweeper looks for due mailboxes this often.", unit="seconds", gt=0)
    backup_sweep_interval: float = _setting(
        5.0, "The API looks too, this often, in case no sweeper runs.", unit="seconds", gt=0
    )
    prune_interval: float = _setting(
        60.0, "The sweeper forgets ids and jobs that are too old this often.", unit="seconds", gt=0
    )

    # Tests
    crash_points: Path | None = _setting(
        None, "For tests only: a folder of points at which a process dies or waits.", "/var/lib/holdfast/points"
    )

    @field_validator("postgres_url", "mongo_url", "ledger_url", "cache_url", "broker_url")
    @classmethod
    def _named_for_servers(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        store = info.data.get("store")
        of_one = _STORES.get(info.field_name or "")
        if value is None and store in ((of_one,) if of_one else _STORES.values()):
            raise ValueError(f"must be set where HOLDFAST_STORE={store}")
        return value

    @field_validator("postgres_replica_urls")
    @classmethod
    def _of_the_store(cls, value: tuple[SecretStr, ...] | None, info: ValidationInfo) -> tuple[SecretStr, ...] | None:
        if value is not None and info.data.get("store") in ("mongo", "memory"):
            raise ValueError(f"has no meaning where HOLDFAST_STORE={info.data['store']}: only postgres has replicas")
        return value

    @field_validator("tls_key_file", "api_tls_key_file")
    @classmethod
    def _beside_its_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        other = str(info.field_name).replace("key", "cert")
        if (value is None) != (info.data.get(other) is None):
            raise ValueError(f"and {PREFIX}{other.upper()} must be set both or neither")
        return value

    @field_validator("max_page_size")
    @classmethod
    def _holds_a_page(cls, value: int, info: ValidationInfo) -> int:
        return _at_least(value, info, "page_size")

    @field_validator("lease_ttl")
    @classmethod
    def _longer_than_a_batch(cls, value: float, info: ValidationInfo) -> float:
        return _at_least(value, info, "store_timeout")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment only, and what a test hands over."""
        return init_settings, env_settings


def _at_least(value: T, info: ValidationInfo, other: str) -> T:
    if other in info.data and value < info.data[other]:
        raise ValueError(f"must be at least the {other.replace('_', ' ')}, {info.data[other]}")
    return value


def _at_most(value: T, info: ValidationInfo, other: str) -> T:
    if other in info.data and value > info.data[other]:
        raise ValueError(f"must be at most the {other.replace('_', ' ')}, {info.data[other]}")
    return value
