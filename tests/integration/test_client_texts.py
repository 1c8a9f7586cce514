"""With PostgreSQL down, no answer to anybody says where it is or who we are there; the log does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from adapters.migrate import migrate
from holdfast.errors import (
    BulkheadFull,
    CircuitOpen,
    OutcomeUnknown,
    Overloaded,
    Permanent,
    RateLimited,
    TimedOut,
    Transient,
    Unavailable,
)
from holdfast.operations.telling import tell
from tests.support.api_process import ROOT
from tests.support.processes import Server, free_port, wait_until
from tests.support.servers import new_database

ORDERS = "/v1/records/orders"


@contextmanager
def program(module: str, log: Path, variables: dict[str, str]) -> Iterator[None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", module], env=inherited | variables, cwd=ROOT, stderr=file)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def test_while_postgres_is_down_no_answer_tells_of_it_but_that_it_is(
    private_postgres: Server, valkey_url: str, tmp_path: Path
) -> None:
    with new_database(private_postgres.url) as database:
        migrate(database)
        url = database.replace("postgres@", "postgres:hunter2@")
        parts = urlsplit(url)
        secrets = ["hunter2", f":{parts.port}", "127.0.0.1", parts.path.strip("/"), "postgres:"]
        port = free_port()
        variables = {
            "HOLDFAST_STORE": "postgres",
            "HOLDFAST_API_PORT": str(port),
            "HOLDFAST_POSTGRES_URL": url,
            **{f"HOLDFAST_{name}_URL": valkey_url for name in ("LEDGER", "CACHE", "BROKER")},
            "HOLDFAST_BACKUP_SWEEP_INTERVAL": "0.2",
            "HOLDFAST_SWEEP_INTERVAL": "0.1",
            **{f"HOLDFAST_{name}_TIMEOUT": "10" for name in ("STORE", "LEDGER", "CACHE")},
        }
        api, sweeper = tmp_path / "api.log", tmp_path / "sweeper.log"
        with (
            program("api", api, variables),
            program("worker.sweeper", sweeper, variables),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, verify=False) as http,
        ):
            wait_until(lambda: is_well(http), "the API writes")
            private_postgres.kill()
            held = http.post(ORDERS, json={})
            assert held.status_code == 202
            job = held.headers["location"]
            wait_until(lambda: http.get(job).json().get("last_error"), "a replay was tried")
            targets = (job, "/health", "/admin/breakers", "/admin/stats", "/v1/jobs", ORDERS, f"{ORDERS}/1", "/readyz")
            texts = {target: http.get(target).text for target in targets}
            private_postgres.start()
        for target, text in texts.items():
            assert not [secret for secret in secrets if secret in text], f"{target}: {text}"
        assert "the store" in texts[job]
        assert "the store" in texts["/health"]
        assert "127.0.0.1" in api.read_text() + sweeper.read_text()
        assert "hunter2" not in api.read_text() + sweeper.read_text()


def is_well(http: httpx.Client) -> bool:
    try:
        return http.put(f"{ORDERS}/known", json={}).status_code in (200, 201)
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "error",
    [
        CircuitOpen,
        TimedOut,
        OutcomeUnknown,
        Overloaded,
        BulkheadFull,
        RateLimited,
        Unavailable,
        Transient,
        Permanent,
        ValueError,
    ],
)
def test_what_is_told_of_an_error_has_no_word_of_its_text(error: type[Exception]) -> None:
    told = tell(error("could not connect to db.internal:5432 as admin"), "the store")
    assert told
    assert not {"db.internal", "5432", "admin"} & set(told.replace(":", " ").split())
