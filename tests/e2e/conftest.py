"""One stack for all tests here, with PostgreSQL as its store; those marked `every_store` have another with MongoDB.

HOLDFAST_TEST_STORE=mongo runs all of them with MongoDB alone. Those marked `freezes_the_store` have a stack whose API
soon gives a store up that does not answer.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from cli.stack.handle import Stack
from tests.support.http import Client
from tests.support.processes import missing, wait_until
from tests.support.stack import running_stack

# More time than by default for answers on a busy machine, above all of ledger, cache and broker, which nobody freezes
# here; less for the leases of a worker that was killed; smaller batches for a worker, so that a replay has a middle.
SETTINGS = {
    "HOLDFAST_STORE_TIMEOUT": "3",
    "HOLDFAST_LEDGER_TIMEOUT": "15",
    "HOLDFAST_CACHE_TIMEOUT": "15",
    "HOLDFAST_BROKER_TIMEOUT": "15",
    "HOLDFAST_WRITE_PATIENCE": "15",
    "HOLDFAST_LEASE_TTL": "4",
    "HOLDFAST_STACK_WORKER_REPLAY_BATCH": "64",
}
# Where nobody freezes the store either.
PATIENT = {"HOLDFAST_STACK_API_STORE_TIMEOUT": "8", "HOLDFAST_STACK_API_LEASE_TTL": "8"}
# Seconds for one test, the start of its stack included, on a machine that has much else to do.
TIMEOUT = 300
PROCESSES = ("store", "ledger", "cache", "api", "worker", "sweeper")


STORES = ("postgres", "mongo")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_store: runs once with each store")
    config.addinivalue_line("markers", "freezes_the_store: its API gives the store up soon")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "running" in metafunc.fixturenames:
        every = STORES if metafunc.definition.get_closest_marker("every_store") else STORES[:1]
        only = os.environ.get("HOLDFAST_TEST_STORE")
        metafunc.parametrize("running", (only,) if only else every, indirect=True, scope="package")
        freezes = metafunc.definition.get_closest_marker("freezes_the_store") is not None
        metafunc.parametrize("patient", (not freezes,), ids=[pytest.HIDDEN_PARAM], indirect=True, scope="package")


@pytest.fixture(scope="package")
def patient(request: pytest.FixtureRequest) -> bool:
    """Whether the API waits long for the store."""
    return bool(request.param)


@pytest.fixture(scope="package")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the points at which a worker shall stand still (adapters/crash_points.py)."""
    return tmp_path_factory.mktemp("points")


@pytest.fixture(scope="package")
def running(request: pytest.FixtureRequest, patient: bool, points: Path) -> Iterator[Stack]:
    if request.param == "mongo" and find_spec("secantus") is None:
        missing("SecantusDB")
    own = {"HOLDFAST_STORE": request.param, "HOLDFAST_STACK_WORKER_CRASH_POINTS": str(points)}
    with running_stack(None, **SETTINGS, **(PATIENT if patient else {}), **own) as stack:
        yield stack


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """To kill, freeze and start by name; whatever a test leaves it in, the next one finds all well."""
    yield running
    for name in PROCESSES:
        running.thaw(name)
        running.start(name)
    with new_client(running) as client:
        wait_until(lambda: is_well(client), "all is well again", seconds=60)


@pytest.fixture
def api(running: Stack) -> Iterator[Client]:
    """A client with a collection of its own."""
    with new_client(running) as client:
        yield client


def new_client(stack: Stack) -> Client:
    return Client(stack.url("api"), f"things-{secrets.token_hex(6)}")


def is_well(client: Client) -> bool:
    """Nothing waits, every breaker is closed, and a write goes straight to the store and from there to the cache."""
    direct = client.replace("probe", {}).status_code in (200, 201)
    return direct and client.http.get("/health").json()["status"] == "pass" and client.backlog() == 0
