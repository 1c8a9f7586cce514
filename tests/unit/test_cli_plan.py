"""What a stack decides to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import StackError
from cli.stack.layout import Layout
from cli.stack.plan import Plan, plan

ANY_PORT = {"HOLDFAST_API_PORT": "0"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.at(tmp_path)
    layout.create()
    return layout


def names(made: Plan) -> list[str]:
    return [spec.name for spec in (*made.servers, *made.programs)]


def test_everything_runs_and_every_program_is_told_where_everything_is(layout: Layout) -> None:
    made = plan(layout, ANY_PORT)
    assert names(made) == ["postgres", "ledger", "cache", "api", "worker", "sweeper"]
    for program in (made.migrate, *made.programs):
        assert program.env["HOLDFAST_STORE"] == "postgres"
        for name in ("postgres", "ledger", "broker", "cache"):
            assert program.env[f"HOLDFAST_{name.upper()}_URL"] == made.urls[name]


def test_the_store_is_what_the_environment_says(layout: Layout) -> None:
    made = plan(layout, ANY_PORT | {"HOLDFAST_STORE": "mongo"})
    assert names(made) == ["mongo", "ledger", "cache", "api", "worker", "sweeper"]
    assert made.names == ("api", "worker", "sweeper", "mongo", "ledger", "cache", "broker")
    for program in (made.migrate, *made.programs):
        assert program.env["HOLDFAST_STORE"] == "mongo"
        assert program.env["HOLDFAST_MONGO_URL"] == made.urls["mongo"]
        assert "HOLDFAST_POSTGRES_URL" not in program.env


def test_a_store_without_a_server_is_none_for_a_stack(layout: Layout) -> None:
    with pytest.raises(StackError, match="HOLDFAST_STORE must be postgres or mongo for a stack; it is 'memory'"):
        plan(layout, ANY_PORT | {"HOLDFAST_STORE": "memory"})


def test_a_mongodb_that_is_not_there_is_asked_for(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.stack.mongo.find_spec", lambda _: None)
    with pytest.raises(StackError, match="set HOLDFAST_MONGO_URL"):
        plan(layout, ANY_PORT | {"HOLDFAST_STORE": "mongo"})
    elsewhere = ANY_PORT | {"HOLDFAST_STORE": "mongo", "HOLDFAST_MONGO_URL": "mongodb://else"}
    assert "mongo" not in names(plan(layout, elsewhere))


def test_ledger_and_broker_are_two_databases_of_one_server_and_the_cache_is_another(layout: Layout) -> None:
    made = plan(layout, ANY_PORT)
    assert made.hosts["broker"] == made.hosts["ledger"] == "ledger"
    server, _, database = made.urls["ledger"].rpartition("/")
    assert (database, made.urls["broker"]) == ("0", f"{server}/1")
    assert not made.urls["cache"].startswith(server)


@pytest.mark.parametrize("name", ["postgres", "cache"])
def test_a_server_with_a_url_in_the_environment_is_not_run(layout: Layout, name: str) -> None:
    made = plan(layout, ANY_PORT | {f"HOLDFAST_{name.upper()}_URL": "somewhere://else"})
    assert name not in names(made)
    assert name not in made.hosts
    assert made.urls[name] == made.programs[0].env[f"HOLDFAST_{name.upper()}_URL"] == "somewhere://else"


@pytest.mark.parametrize(("given", "left"), [("ledger", "broker"), ("broker", "ledger")])
def test_the_shared_server_runs_while_either_needs_it(layout: Layout, given: str, left: str) -> None:
    made = plan(layout, ANY_PORT | {f"HOLDFAST_{given.upper()}_URL": "redis://else/0"})
    assert made.hosts[left] == left
    assert given not in made.hosts


def test_the_shared_server_is_not_run_when_both_are_elsewhere(layout: Layout) -> None:
    made = plan(layout, ANY_PORT | {"HOLDFAST_LEDGER_URL": "redis://else/0", "HOLDFAST_BROKER_URL": "amqp://else"})
    assert names(made) == ["postgres", "cache", "api", "worker", "sweeper"]


def test_settings_reach_the_programs_but_never_the_servers(layout: Layout) -> None:
    made = plan(layout, ANY_PORT | {"HOLDFAST_LOG_LEVEL": "debug", "PGDATA": "/elsewhere"})
    assert all(program.env["HOLDFAST_LOG_LEVEL"] == "debug" for program in made.programs)
    assert not any("PGDATA" in server.env for server in made.servers)
