"""MongoDB is chosen by settings, which say what is wrong with them and tell no secret."""

from __future__ import annotations

import pytest

from adapters.assembly import assemble
from adapters.mongo_store import MongoStore
from adapters.settings import Settings, SettingsError, load

OTHERS = {
    "HOLDFAST_STORE": "mongo",
    "HOLDFAST_LEDGER_URL": "redis://localhost:1/0",
    "HOLDFAST_CACHE_URL": "redis://localhost:1/1",
    "HOLDFAST_BROKER_URL": "redis://localhost:1/2",
}
MONGO = "HOLDFAST_MONGO_URL"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def complaint(environment: pytest.MonkeyPatch, url: str) -> str:
    environment.setenv(MONGO, url)
    with pytest.raises(SettingsError) as error:
        load()
    return str(error.value)


def test_mongodb_needs_its_url_and_not_that_of_postgresql(environment: pytest.MonkeyPatch) -> None:
    assert "HOLDFAST_MONGO_URL must be set where HOLDFAST_STORE=mongo" in complaint(environment, "")
    environment.setenv(MONGO, "mongodb://localhost/holdfast")
    assert load().postgres_url is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:hush@h/x", "must begin with mongodb:// or mongodb+srv://"),
        ("mongodb://u:hush@/x", "names no host"),
        ("mongodb://u:hush@h/x?tlsCAFile=/nowhere/ca.pem", "names a file that cannot be read"),
        ("mongodb://u:hush@h/x?tls=true&ssl=false", "is not a connection URL as MongoDB's drivers know it"),
        ("mongodb://u:hush@h:port/x", "its host or port cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_a_reason_and_not_shown(
    environment: pytest.MonkeyPatch, url: str, said: str
) -> None:
    text = complaint(environment, url)
    assert f"{MONGO}=" in text
    assert said in text
    assert "hush" not in text


@pytest.mark.parametrize("query", ["", "?replicaSet=rs0&tls=true", "?directConnection=true"])
async def test_a_system_is_assembled_with_it_and_connects_to_nothing(
    environment: pytest.MonkeyPatch, query: str
) -> None:
    environment.setenv(MONGO, f"mongodb://u:hush@nowhere.invalid,else.invalid:1/x{query}")
    if "direct" in query:
        environment.setenv(MONGO, f"mongodb://nowhere.invalid/x{query}")
    settings = load()
    assert "hush" not in repr(settings)
    system = assemble(settings)
    await system.close()


def test_the_parts_of_its_time_come_from_the_store_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a call would be given up before it has said what became of it."""
    made: list[object] = []
    monkeypatch.setattr("adapters.mongo_store.MongoStore", lambda options: made.append(options) or MongoStore(options))
    given = {name.removeprefix("HOLDFAST_").lower(): value for name, value in OTHERS.items()}
    assemble(Settings.model_validate({**given, "mongo_url": "mongodb://h/x", "store_timeout": 2.0, "store_pool": 3}))
    (options,) = made
    assert (options.timeout, options.patience, options.pool_size) == (1.8, 0.8, 3)  # type: ignore[attr-defined]
