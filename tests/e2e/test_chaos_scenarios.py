"""The whole system under faults and load, judged by what its clients saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from chaos.errors import Impossible
from chaos.toxiproxy import find
from tests.support.processes import missing

SCENARIOS = Path(__file__).parents[2] / "chaos/scenarios"
STORE = os.environ.get("HOLDFAST_TEST_STORE", "postgres")
OF_THE_STORE = ("postgres-down", "postgres-frozen")
BAD_DAYS = (
    "postgres-down",
    "postgres-frozen",
    "postgres-backend-killed",
    "ledger-lost-during-outage",
    "worker-killed",
    "api-killed",
    "broker-emptied",
)
BAD_CONNECTIONS = ("api-postgres-half-open", "worker-ledger-half-open", "postgres-reset")

# Else an API takes the ledger for away whenever the machine stands still for a moment, and may then write directly what
# supersedes what is held.
PATIENT = """
[settings]
HOLDFAST_STACK_API_LEDGER_TIMEOUT = "5"
"""

EMPTIED = """
text = "The ledger loses what it holds, and nobody allows for it."
duration = 6
[[step]]
fault = "kill"
target = "store"
lasts = 6
[[step]]
fault = "empty"
target = "ledger"
at = 3
times = 2  # on a slow machine nothing may be held at the first time
every = 2
"""


def run(*words: str, folder: Path, store: str = STORE) -> subprocess.CompletedProcess[str]:
    fixed = ("--seed", "1", "--store", store, "--dir", str(folder))
    command = [sys.executable, "-m", "chaos", "run", *words, *fixed]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_shortly(names: Sequence[str], folder: Path, store: str = STORE) -> subprocess.CompletedProcess[str]:
    """These scenarios of the project, on a patient system."""
    files = [folder / f"{name}.toml" for name in names]
    for file in files:
        file.write_text((SCENARIOS / file.name).read_text() + PATIENT)
    return run(*map(str, files), "--duration", "7", folder=folder, store=store)


@pytest.mark.timeout(600)
def test_every_guarantee_holds_through_bad_days(tmp_path: Path) -> None:
    done = run_shortly(BAD_DAYS, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_every_guarantee_holds_with_mongodb_as_the_store(tmp_path: Path) -> None:
    if find_spec("secantus") is None:
        missing("SecantusDB")
    done = run_shortly(OF_THE_STORE, tmp_path, "mongo")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_every_guarantee_holds_over_bad_connections(tmp_path: Path) -> None:
    try:
        find()
    except Impossible as error:
        missing(str(error))
    done = run_shortly(BAD_CONNECTIONS, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_a_loss_that_nothing_can_prevent_is_found_and_reported(tmp_path: Path) -> None:
    scenario = tmp_path / "emptied.toml"
    scenario.write_text(EMPTIED)
    done = run(str(scenario), folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((tmp_path / "emptied-1" / "report.json").read_text())
    assert {"forgotten", "unsettled"} <= {each["rule"] for each in report["violations"]}
    assert "<svg" in (tmp_path / "emptied-1" / "report.html").read_text()
    assert (tmp_path / "emptied-1" / "log" / "api.log").exists()
