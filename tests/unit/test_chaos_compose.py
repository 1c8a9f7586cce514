"""A compose project is broken by its own command, and what cannot be done to it is refused before anything is broken.

The command is a script here; docs/how-to/chaos.md tells how to run against a real project.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.compose import ComposeSystem, running
from chaos.errors import Impossible
from chaos.scenario import parse

SERVICES = ("api", "worker", "sweeper", "postgres", "ledger", "cache", "broker")


def container(service: str, state: str = "running", health: str = "healthy") -> dict[str, Any]:
    return {"Service": service, "State": state, "Health": health, "Publishers": []}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: `ps` holds what the command tells of its containers, `asked` all that it was asked besides."""
    command = tmp_path / "compose"
    command.write_text(f'#!/bin/sh\ncase $1 in ps) cat {tmp_path}/ps;; *) echo "$@" >> {tmp_path}/asked;; esac\n')
    command.chmod(0o755)
    monkeypatch.setenv("COMPOSE", str(command))
    tell(tmp_path, *map(container, SERVICES))
    return tmp_path


def tell(project: Path, *containers: dict[str, Any]) -> None:
    (project / "ps").write_text("\n".join(map(json.dumps, containers)))


def system(*, detoured: bool = False) -> ComposeSystem:
    return ComposeSystem("postgres", ["http://127.0.0.1:8000"], None, detoured=detoured)


async def test_processes_are_steered_by_the_command_and_the_store_by_its_name(project: Path) -> None:
    for command, name in (("kill", "store"), ("start", "store"), ("stop", "worker"), ("freeze", "ledger")):
        await system().steer(command, name)
    assert (project / "asked").read_text().splitlines() == [
        "kill postgres",
        "start postgres",
        "stop worker",
        "pause ledger",
    ]


async def test_only_what_stands_still_is_thawed_for_the_command_refuses_the_rest(project: Path) -> None:
    await system().steer("thaw", "ledger")
    assert not (project / "asked").exists()
    tell(project, container("ledger", state="paused"))
    await system().steer("thaw", "ledger")
    assert (project / "asked").read_text() == "unpause ledger\n"


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        ([container(name) for name in SERVICES if name != "ledger"], "not running, or not healthy: ledger;"),
        ([*map(container, SERVICES[1:]), container("api", health="unhealthy")], "not running, or not healthy: api;"),
        ([*map(container, SERVICES[:-1]), container("broker", "exited", "")], "not running, or not healthy: broker;"),
        ([*map(container, SERVICES)], "publishes no port"),
    ],
)
async def test_a_project_that_is_not_well_is_left_alone(
    project: Path, containers: list[dict[str, Any]], said: str
) -> None:
    tell(project, *containers)
    with pytest.raises(Impossible, match=said):
        await running("postgres", None)


async def test_without_the_command_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE", "/nowhere/docker compose")
    with pytest.raises(Impossible, match="/nowhere/docker cannot be run: No such file"):
        await running("postgres", None)


async def test_what_the_command_complains_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "compose"
    script.write_text("#!/bin/sh\necho 'no configuration file provided' >&2\nexit 14\n")
    script.chmod(0o755)
    monkeypatch.setenv("COMPOSE", str(script))
    with pytest.raises(Impossible, match="no configuration file provided"):
        await running("postgres", None)


@pytest.mark.parametrize(
    ("fault", "target", "said"),
    [
        ("clock", "api", "clock cannot be done from outside"),
        ("kill", "api2", "no service 'api2'"),
        ("latency", "api-store", "not for each connection"),
        ("latency", "store", "needs Toxiproxy"),
    ],
)
def test_what_cannot_be_done_to_containers_is_refused(fault: str, target: str, said: str) -> None:
    with pytest.raises(Impossible, match=said):
        system().require(scenario(step=[{"fault": fault, "target": target}]))


def test_settings_and_replicas_of_a_scenario_are_refused() -> None:
    for own in ({"settings": {"HOLDFAST_LEASE_TTL": "3"}}, {"replicas": 2}):
        with pytest.raises(Impossible, match="settings or replicas"):
            system().require(scenario(**own))


def test_what_can_be_done_is_not_refused() -> None:
    steps = [{"fault": "kill", "target": "store"}, {"fault": "blackhole", "target": "ledger"}]
    system(detoured=True).require(scenario(step=steps))


def scenario(**more: Any) -> Any:
    return parse("one", {"text": "Something breaks.", "duration": 10.0, **more})
