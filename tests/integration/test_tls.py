"""TLS to PostgreSQL, MongoDB, Redis and the broker, and to clients: who is trusted, and what happens to the others."""

from __future__ import annotations

import gc
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kombu.exceptions import OperationalError

from adapters.celery_app import BrokerOptions, make_app, sending
from adapters.postgres_store import PostgresOptions, PostgresStore
from adapters.redis_server import RedisOptions, RedisServer
from adapters.settings import load_or_exit
from adapters.tls import TlsFiles
from holdfast.errors import Unavailable
from tests.support import api_process, ledgers, stores
from tests.support.certificates import Authority
from tests.support.http import raw_tls
from tests.support.mongo import mongo_store, running_mongo
from tests.support.processes import WAIT
from tests.support.rabbitmq import running_rabbitmq
from tests.support.tls_proxy import TlsProxy, tls_proxy

Behind = tuple[str, TlsProxy]

# asyncio leaves the socket of some handshakes that are refused to the garbage collector, on either side.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),  # RabbitMQ is slow to start on a machine that has much else to do
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def postgres(postgres_url: str, authority: Authority) -> Iterator[Behind]:
    with tls_proxy(postgres_url, authority.server_side(), "postgresql") as found:
        yield found


@pytest.fixture
def valkey(valkey_url: str, authority: Authority) -> Iterator[Behind]:
    with tls_proxy(valkey_url, authority.server_side(), "rediss") as found:
        yield found


async def ask_postgres(url: str, tls: TlsFiles) -> None:
    store = PostgresStore(PostgresOptions(url, tls=tls, **stores.PATIENT))
    try:
        await store.ping()
    finally:
        await store.close()


async def ask_redis(url: str, tls: TlsFiles) -> None:
    server = RedisServer(RedisOptions(tls.redis(url), **ledgers.PATIENT), name="test")
    try:
        assert await server.command("PING") == b"PONG"
    finally:
        await server.close()


async def ask_mongo(url: str, options: str, *, seconds: float = 20.0) -> None:
    """seconds: for which it is tried again, also where TLS is refused.

    directConnection: the server behind the proxy would name itself, and be asked without TLS.
    """
    whole = f"{url}?directConnection=true&tls=true&{options}"
    async with mongo_store(whole, timeout=seconds, patience=seconds / 2) as store:
        await store.ping()


def ask_broker(url: str, tls: TlsFiles, *, seconds: float = 20.0) -> None:
    """Send a message, as a doorbell does. seconds: for which it is tried again, also where TLS is refused."""
    options = BrokerOptions(url, tls=tls, timeout=seconds)
    app = make_app(options)
    with app.connection_for_write(**sending(options)) as connection:
        app.send_task("holdfast.replay", [["notes/1"]], connection=connection, retry=False)


async def test_postgres_that_proves_itself_is_asked_over_tls(postgres: Behind, authority: Authority) -> None:
    url, proxy = postgres
    await ask_postgres(url, TlsFiles(authority.ca))
    assert proxy.greeted


async def test_postgres_that_somebody_else_vouches_for_is_not_asked(postgres: Behind, stranger: Authority) -> None:
    url, proxy = postgres
    with pytest.raises(Unavailable):
        await ask_postgres(url, TlsFiles(stranger.ca))
    assert not proxy.greeted


async def test_postgres_under_another_name_than_its_certificates_is_not_asked(
    postgres: Behind, authority: Authority
) -> None:
    with pytest.raises(Unavailable):
        await ask_postgres(postgres[0].replace("127.0.0.1", "localhost"), TlsFiles(authority.ca))


async def test_postgres_without_tls_is_not_asked_where_it_must_prove_itself(
    postgres_url: str, authority: Authority
) -> None:
    with pytest.raises(Unavailable):
        await ask_postgres(postgres_url, TlsFiles(authority.ca))
    await ask_postgres(f"{postgres_url}?sslmode=disable", TlsFiles(authority.ca))  # unless its URL says otherwise


async def test_redis_that_proves_itself_is_asked_over_tls(valkey: Behind, authority: Authority) -> None:
    url, proxy = valkey
    await ask_redis(url, TlsFiles(authority.ca))
    assert proxy.greeted


async def test_redis_that_cannot_be_trusted_is_not_asked(
    valkey: Behind, authority: Authority, stranger: Authority
) -> None:
    url, proxy = valkey
    for tried, tls in [
        (url, TlsFiles(stranger.ca)),
        (url, TlsFiles()),
        (url.replace("127.0.0.1", "localhost"), TlsFiles(authority.ca)),
    ]:
        with pytest.raises(Unavailable):
            await ask_redis(tried, tls)
    assert not proxy.greeted


async def test_mongodb_that_proves_itself_is_asked_over_tls_and_no_other(
    mongo_url: str, authority: Authority, stranger: Authority
) -> None:
    with tls_proxy(mongo_url, authority.server_side(), "mongodb") as (url, proxy):
        with pytest.raises(Unavailable):
            await ask_mongo(url, f"tlsCAFile={stranger.ca}", seconds=3.0)
        with pytest.raises(Unavailable):
            await ask_mongo(url.replace("127.0.0.1", "localhost"), f"tlsCAFile={authority.ca}", seconds=3.0)
        assert not proxy.greeted
        await ask_mongo(url, f"tlsCAFile={authority.ca}")
        assert proxy.greeted


async def test_mongodb_that_asks_for_a_certificate_gets_ours(
    mongo_url: str, authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.sign("client")
    both = tmp_path / "client-and-key.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    with tls_proxy(mongo_url, authority.server_side(ask_for_a_certificate=True), "mongodb") as (url, _):
        await ask_mongo(url, f"tlsCAFile={authority.ca}&tlsCertificateKeyFile={both}")
        with pytest.raises(Unavailable):
            await ask_mongo(url, f"tlsCAFile={authority.ca}", seconds=3.0)


async def test_a_server_that_asks_for_a_certificate_gets_ours(
    postgres_url: str, valkey_url: str, authority: Authority
) -> None:
    context = authority.server_side(ask_for_a_certificate=True)
    ours = TlsFiles(authority.ca, *authority.sign("client"))
    with tls_proxy(postgres_url, context, "postgresql") as (url, _):
        await ask_postgres(url, ours)
        with pytest.raises(Unavailable):
            await ask_postgres(url, TlsFiles(authority.ca))
    with tls_proxy(valkey_url, context, "rediss") as (url, _):
        await ask_redis(url, ours)
        ask_broker(url, ours)


def test_a_broker_on_redis_is_trusted_only_if_it_proves_itself(
    valkey: Behind, authority: Authority, stranger: Authority
) -> None:
    url, proxy = valkey
    for tls in (TlsFiles(stranger.ca), TlsFiles()):
        with pytest.raises(OperationalError):
            ask_broker(url, tls, seconds=5.0)
    assert not proxy.greeted
    ask_broker(url, TlsFiles(authority.ca))
    assert proxy.greeted


def test_rabbitmq_is_trusted_only_if_it_proves_itself(authority: Authority, stranger: Authority) -> None:
    with running_rabbitmq() as rabbitmq, tls_proxy(rabbitmq.url, authority.server_side(), "amqps") as (url, proxy):
        for tls in (TlsFiles(stranger.ca), TlsFiles()):
            with pytest.raises((OperationalError, ssl.SSLError)):
                ask_broker(url, tls, seconds=5.0)
        with pytest.raises((OperationalError, ssl.SSLError)):
            ask_broker(url.replace("127.0.0.1", "localhost"), TlsFiles(authority.ca), seconds=5.0)
        assert not proxy.greeted
        ask_broker(url, TlsFiles(authority.ca))
        assert proxy.greeted


def test_the_whole_api_runs_on_servers_behind_tls(
    empty_postgres_url: str, valkey_url: str, authority: Authority
) -> None:
    context = authority.server_side()
    with (
        tls_proxy(empty_postgres_url, context, "postgresql") as (store, store_proxy),
        tls_proxy(valkey_url, context, "rediss") as (redis, _),
    ):
        variables = {
            "HOLDFAST_STORE": "postgres",
            "HOLDFAST_POSTGRES_URL": store,
            **{f"HOLDFAST_{name}_URL": redis for name in ("LEDGER", "CACHE", "BROKER")},
            "HOLDFAST_TLS_CA_FILE": str(authority.ca),
            **{f"HOLDFAST_{name}_TIMEOUT": "10" for name in ("STORE", "LEDGER", "CACHE", "BROKER")},
        }
        assert migrated(variables) == 0
        with api_process.running(**variables) as api:
            assert api.http.put("/v1/records/orders/1", json={"a": 1}).status_code == 201
            held = api.http.put("/v1/records/orders/2", json={"a": 1}, headers={"prefer": "respond-async"})
            assert held.status_code == 202
            checks = api.http.get("/health").json()["checks"]
            assert len(checks) == 4
            assert "fail" not in {check["status"] for [check] in checks.values()}
        assert store_proxy.greeted


def test_the_whole_api_runs_on_a_mongodb_that_speaks_tls(
    valkey_url: str, authority: Authority, stranger: Authority
) -> None:
    cert, key = authority.sign("mongodb")
    speaking = ("--tls-cert-file", str(cert), "--tls-key-file", str(key))
    with running_mongo(*speaking, query=f"?tls=true&tlsCAFile={authority.ca}") as mongo:
        variables = {
            "HOLDFAST_STORE": "mongo",
            "HOLDFAST_MONGO_URL": mongo.url.partition("&")[0],
            **{f"HOLDFAST_{name}_URL": valkey_url for name in ("LEDGER", "CACHE", "BROKER")},
            "HOLDFAST_TLS_CA_FILE": str(authority.ca),
            **{f"HOLDFAST_{name}_TIMEOUT": "10" for name in ("STORE", "LEDGER", "CACHE", "BROKER")},
        }
        assert migrated(variables | {"HOLDFAST_TLS_CA_FILE": str(stranger.ca)}, "--wait", "0") == 1
        assert migrated(variables | {"HOLDFAST_TLS_CA_FILE": "/nowhere/ca.pem"}) == 2
        assert migrated(variables) == 0
        with api_process.running(**variables) as api:
            assert api.http.put("/v1/records/orders/1", json={"a": 1}).status_code == 201
            assert "fail" not in {check["status"] for [check] in api.http.get("/health").json()["checks"].values()}


def migrated(variables: dict[str, str], *words: str) -> int:
    command = [sys.executable, "-m", "adapters.migrate", *words]
    return subprocess.run(command, env=os.environ | variables, cwd=api_process.ROOT, check=False).returncode


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("mongodb://a:1,b:2/notes?replicaSet=r&tls=true", "mongodb://a:1,b:2/notes?replicaSet=r&tls=true&{ca}"),
        ("mongodb://ada:p%40ss@a/?SSL=true", "mongodb://ada:p%40ss@a/?SSL=true&{ca}"),
        ("mongodb+srv://a.b.c", "mongodb+srv://a.b.c/?{ca}"),
        ("mongodb+srv://a.b.c/?tls=false", "mongodb+srv://a.b.c/?tls=false"),
        ("mongodb://a/notes?tls=true&tlscafile=/mine.pem", "mongodb://a/notes?tls=true&tlscafile=/mine.pem"),
        ("mongodb://a/notes", "mongodb://a/notes"),
    ],
)
def test_mongodb_is_told_whom_to_trust_where_its_url_asks_for_tls_and_does_not_say(url: str, given: str) -> None:
    ca = Path("/a b+c/ca.pem")
    assert TlsFiles(ca).mongo(url) == given.format(ca="tlsCAFile=%2Fa+b%2Bc%2Fca.pem")
    assert TlsFiles().mongo(url) == url


def test_the_api_itself_speaks_tls(authority: Authority) -> None:
    cert, key = authority.sign("api")
    with api_process.running(
        HOLDFAST_API_TLS_CERT_FILE=str(cert), HOLDFAST_API_TLS_KEY_FILE=str(key), scheme="https"
    ) as api:
        trusting = ssl.create_default_context(cafile=authority.ca)
        with httpx.Client(base_url=api.url, verify=trusting, timeout=WAIT) as http:
            answer = http.put("/v1/records/orders/1", json={"filler": "x" * 100_000})
            assert (answer.status_code, answer.headers["strict-transport-security"]) == (201, "max-age=31536000")
            assert http.get("/v1/records/orders/1").json()["data"] == {"filler": "x" * 100_000}
        with pytest.raises(httpx.ConnectError), httpx.Client(base_url=api.url, timeout=WAIT) as suspicious:
            suspicious.get("/livez")
        status, body = raw_tls(api.url, b"garbage\r\n\r\n", trusting)
        assert (status, b"/problems/invalid-request" in body) == (400, True)


@pytest.mark.parametrize(
    ("variables", "trouble"),
    [
        ({"HOLDFAST_TLS_CA_FILE": "{folder}/none.pem"}, "HOLDFAST_TLS_CA_FILE='{folder}/none.pem' cannot be read"),
        ({"HOLDFAST_TLS_CA_FILE": "{folder}/ca.key"}, "HOLDFAST_TLS_CA_FILE='{folder}/ca.key' holds no certificate"),
        ({"HOLDFAST_API_TLS_CERT_FILE": "{folder}/ca.pem"}, "HOLDFAST_API_TLS_CERT_FILE must be set both or neither"),
        (
            {"HOLDFAST_API_TLS_CERT_FILE": "{folder}/ca.pem", "HOLDFAST_API_TLS_KEY_FILE": "{folder}/ca.pem"},
            "no certificate and its key",
        ),
    ],
)
def test_a_certificate_that_cannot_be_used_ends_a_process_at_its_start(
    authority: Authority,
    variables: dict[str, str],
    trouble: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder: Path = authority.ca.parent
    monkeypatch.setattr(sys, "argv", ["api"])
    for name, value in ({"HOLDFAST_STORE": "memory"} | variables).items():
        monkeypatch.setenv(name, value.format(folder=folder))
    with pytest.raises(SystemExit) as ended:
        load_or_exit()
    assert (ended.value.code, trouble.format(folder=folder) in capsys.readouterr().err) == (2, True)
