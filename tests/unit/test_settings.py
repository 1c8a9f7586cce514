"""Settings: what a person meets who sets one wrong, and that the pages about them are true."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters.settings import Settings, SettingsError, load
from adapters.settings.document import example, names, reference
from adapters.settings.variables import variables

ROOT = Path(__file__).parents[2]
SERVERS = {
    "HOLDFAST_STORE": "postgres",
    "HOLDFAST_POSTGRES_URL": "postgresql://me:hush@db/holdfast",
    "HOLDFAST_LEDGER_URL": "redis://:hush@ledger/0",
    "HOLDFAST_CACHE_URL": "redis://cache:6380/0",
    "HOLDFAST_BROKER_URL": "amqp://me:hush@broker/",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of Holdfast is set but what the test sets."""
    for name in list(os.environ):
        if name.startswith("HOLDFAST_"):
            monkeypatch.delenv(name)
    return monkeypatch


def given(environment: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        environment.setenv(name, value)
    return load()


def complaint(environment: pytest.MonkeyPatch, **values: str) -> str:
    with pytest.raises(SettingsError) as wrong:
        given(environment, **values)
    return str(wrong.value)


def test_the_store_must_be_chosen_so_that_nobody_runs_on_memory_by_accident(environment: pytest.MonkeyPatch) -> None:
    text = complaint(environment)
    assert "HOLDFAST_STORE is not set" in text
    assert "HOLDFAST_STORE=postgres" in text


def test_the_memory_profile_needs_nothing_else(environment: pytest.MonkeyPatch) -> None:
    assert given(environment, HOLDFAST_STORE="memory").ledger_url is None


def test_replicas_are_a_list_of_urls_each_of_which_may_name_several_hosts(environment: pytest.MonkeyPatch) -> None:
    assert given(environment, **SERVERS).postgres_replica_urls is None
    urls = ("postgresql://me:hush@b,c:6432/holdfast", "postgresql://me:hush@d/holdfast")
    found = given(environment, HOLDFAST_POSTGRES_REPLICA_URLS=" , ".join(urls)).postgres_replica_urls
    assert found is not None
    assert tuple(url.get_secret_value() for url in found) == urls


@pytest.mark.parametrize("store", ["mongo", "memory"])
def test_replicas_that_the_store_does_not_have_are_refused(environment: pytest.MonkeyPatch, store: str) -> None:
    chosen = SERVERS | {"HOLDFAST_STORE": store, "HOLDFAST_MONGO_URL": "mongodb://db/holdfast"}
    text = complaint(environment, **chosen, HOLDFAST_POSTGRES_REPLICA_URLS="postgresql://me:hush@b/holdfast")
    assert "HOLDFAST_POSTGRES_REPLICA_URLS" in text
    assert f"has no meaning where HOLDFAST_STORE={store}" in text
    assert "hush" not in text


@pytest.mark.parametrize("wrong", ["mysql://me:hush@d/holdfast", "postgresql://", "postgresql://me:hush@d/x?nope=1"])
def test_a_wrong_url_of_a_replica_is_told_by_its_place_and_without_secrets(
    environment: pytest.MonkeyPatch, wrong: str
) -> None:
    urls = f"postgresql://me:hush@b/holdfast,{wrong}"
    text = complaint(environment, **SERVERS, HOLDFAST_POSTGRES_REPLICA_URLS=urls)
    assert "HOLDFAST_POSTGRES_REPLICA_URLS" in text
    assert "(URL 2 of 2)" in text
    assert "hush" not in text


def test_every_missing_server_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    text = complaint(environment, HOLDFAST_STORE="postgres")
    for name in SERVERS:
        assert name in text


def test_servers_are_taken_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    settings = given(environment, **SERVERS)
    assert settings.broker_url is not None
    assert settings.broker_url.get_secret_value() == "amqp://me:hush@broker/"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("HOLDFAST_STORE", "mysql", "must be 'postgres', 'mongo' or 'memory'"),
        ("HOLDFAST_API_PORT", "80x", "valid integer"),
        ("HOLDFAST_API_PORT", "70000", "less than or equal to 65535"),
        ("HOLDFAST_STORE_TIMEOUT", "0", "greater than 0"),
        ("HOLDFAST_STORE_TIMEOUT", "inf", "finite"),
        ("HOLDFAST_STORE_TIMEOUT", "nan", "must be"),
        ("HOLDFAST_LOG_LEVEL", "loud", "'debug', 'info'"),
        ("HOLDFAST_PAGE_SIZE", "2000", "HOLDFAST_MAX_PAGE_SIZE must be at least the page size, 2000"),
        ("HOLDFAST_BROKER_QUEUE", "two words", "must match"),
        ("HOLDFAST_CACHE_BREAKER_FAILURE_RATE", "1.5", "less than or equal to 1"),
        ("HOLDFAST_STORE_BREAKER_MINIMUM_CALLS", "7", "at most the window size, 6"),
        ("HOLDFAST_LEDGER_BREAKER", "{}", "one by one"),
    ],
)
def test_a_wrong_value_is_named_with_its_problem_and_an_example(
    environment: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    text = complaint(environment, **{"HOLDFAST_STORE": "memory", name: value})
    assert name in text or "HOLDFAST_MAX_PAGE_SIZE" in text
    assert problem in text
    assert "for example HOLDFAST_" in text


@pytest.mark.parametrize(
    "url",
    [
        "hush",
        "http://me:hush@host/",
        "redis://me:hush@",
        "redis://me:hush@host:port/0",
        "redis://:hush@[bad/0",
        "redis://:hush",
        *(f"redis://:hush{cut}hush@host/0" for cut in "/?#"),
        "redis://:a@hush:x/b@host/0",
    ],
)
def test_a_wrong_url_is_refused_without_a_word_of_its_secret(environment: pytest.MonkeyPatch, url: str) -> None:
    text = complaint(environment, **SERVERS | {"HOLDFAST_LEDGER_URL": url})
    assert "HOLDFAST_LEDGER_URL" in text
    assert "hush" not in text


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:hush@", "mysql://me:hush@db/x", "postgresql://me:hush@db/x?hush=1", "postgresql://hush:%zz@db"],
)
def test_a_wrong_postgres_url_is_refused_without_a_word_of_its_secret(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    text = complaint(environment, **SERVERS | {"HOLDFAST_POSTGRES_URL": url})
    assert "HOLDFAST_POSTGRES_URL" in text
    assert "hush" not in text


URLS = {
    "HOLDFAST_POSTGRES_URL": "postgresql://me:{}@db:5432/holdfast",
    "HOLDFAST_POSTGRES_REPLICA_URLS": "postgresql://me:{}@db:5432/holdfast",
    "HOLDFAST_MONGO_URL": "mongodb://me:{}@db:27017/holdfast",
    "HOLDFAST_LEDGER_URL": "redis://me:{}@db:6379/0",
    "HOLDFAST_CACHE_URL": "rediss://me:{}@db:6379/0",
    "HOLDFAST_BROKER_URL": "amqp://me:{}@db:5672//",
}


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize(
    "password", ["hu/sh", "hu?sh", "hu#sh", "hu[sh", "12/hush", "12?hush", "12#hush", "hu@sh/hush"]
)
def test_a_password_that_ends_the_url_too_early_is_refused_with_the_way_to_write_it(
    environment: pytest.MonkeyPatch, name: str, password: str
) -> None:
    text = complaint(environment, **SERVERS | {name: URLS[name].format(password)})
    assert name in text
    assert "percent-encode @ (%40) / (%2F)" in text
    assert not {"hush", "hu", "12"} & set(re.findall(r"[a-z]+|12", text.partition("percent-encode")[0]))


@pytest.mark.parametrize("name", ["HOLDFAST_POSTGRES_URL", "HOLDFAST_POSTGRES_REPLICA_URLS", "HOLDFAST_MONGO_URL"])
@pytest.mark.parametrize("password", ["hu@sh", "hu%sh"])
def test_a_password_that_the_driver_would_read_otherwise_is_refused_with_the_way_to_write_it(
    environment: pytest.MonkeyPatch, name: str, password: str
) -> None:
    text = complaint(environment, **SERVERS | {name: URLS[name].format(password)})
    assert name in text
    assert "percent-encode @ (%40) / (%2F)" in text
    assert "hu" not in re.findall(r"[a-z]+", text)


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("character", "@/:?#%[]")
def test_a_password_that_is_percent_encoded_is_taken(
    environment: pytest.MonkeyPatch, name: str, character: str
) -> None:
    given(environment, **SERVERS | {name: URLS[name].format(f"hu{quote(character, safe='')}sh")})


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("HOLDFAST_POSTGRES_URL", "postgresql://db:5432/x?user=me@tenant"),
        ("HOLDFAST_LEDGER_URL", "unix:///run/valkey@1.sock?db=1"),
        ("HOLDFAST_POSTGRES_URL", "postgresql://a:5432,b:5433/x?target_session_attrs=read-write"),
        ("HOLDFAST_POSTGRES_URL", "postgresql:///x?host=/run/postgresql"),
        ("HOLDFAST_LEDGER_URL", "unix:///run/valkey.sock?db=1"),
        ("HOLDFAST_LEDGER_URL", "rediss://me:hush@ledger:6379/2"),
        ("HOLDFAST_BROKER_URL", "amqps://me:hush@broker:5671/vhost"),
    ],
)
def test_every_form_of_url_that_the_drivers_take_is_taken(environment: pytest.MonkeyPatch, name: str, url: str) -> None:
    given(environment, **SERVERS | {name: url})


def test_secrets_stay_out_of_the_settings_own_text(environment: pytest.MonkeyPatch) -> None:
    assert "hush" not in repr(given(environment, **SERVERS))


def test_an_empty_value_is_as_good_as_none(environment: pytest.MonkeyPatch) -> None:
    assert given(environment, HOLDFAST_STORE="memory", HOLDFAST_API_PORT="").api_port == 8000


def test_a_part_of_a_group_leaves_the_other_parts_as_they_are(environment: pytest.MonkeyPatch) -> None:
    settings = given(environment, HOLDFAST_STORE="memory", HOLDFAST_CACHE_BREAKER_OPEN_MAX="9")
    assert settings.cache_breaker.open_max == 9
    assert settings.cache_breaker.open == Settings(store="memory").cache_breaker.open
    assert settings.store_breaker.open_max != 9


def test_an_unknown_name_is_warned_of_with_the_nearest_one(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        given(environment, HOLDFAST_STORE="memory", HOLDFAST_API_PROT="1", HOLDFAST_POSTGRES_PORT="5432")
    assert [record.getMessage() for record in caplog.records] == [
        "HOLDFAST_API_PROT is not a setting and does nothing; did you mean HOLDFAST_API_PORT?"
    ]


@pytest.mark.parametrize("program", ["worker", "worker.sweeper"])
def test_a_process_ends_with_code_2_where_a_setting_is_wrong(program: str) -> None:
    done = _run(program, HOLDFAST_STORE="postgres", HOLDFAST_LEDGER_URL="redis://:hush@")
    assert done.returncode == 2
    assert "HOLDFAST_LEDGER_URL" in done.stderr
    assert "hush" not in done.stderr + done.stdout


@pytest.mark.parametrize("program", ["worker", "worker.sweeper"])
def test_the_memory_profile_has_no_worker_and_says_so(program: str) -> None:
    done = _run(program, HOLDFAST_STORE="memory")
    assert done.returncode == 2
    assert "the API replays by itself" in done.stderr


def _run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_example_of_every_setting_is_valid(environment: pytest.MonkeyPatch) -> None:
    for variable in variables().values():
        environment.setenv(variable.name, variable.example)
    load()


def test_the_pages_about_the_settings_are_current() -> None:
    """Write them with `python -m adapters.settings.document`."""
    assert (ROOT / "docs/reference/settings.md").read_text() == reference()
    assert (ROOT / ".env.example").read_text() == example(ROOT)
    assert (ROOT / "deploy/compose/settings.env").read_text() == names()


def test_a_copy_of_the_example_file_changes_nothing() -> None:
    assert all(line.startswith("#") for line in example(ROOT).splitlines() if line)
