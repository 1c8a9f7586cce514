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

EMPTIED = """
text = "The ledger loses what it holds, and nobody allows for it."
duration = 6
[[step]]
fault = "kill"
target = "store"
at = 1
lasts = 4
[[step]]
fault = "empty"
target = "ledger"
at = 4
"""


def chaos(*words: str, folder: Path, store: str = STORE) -> Sequence[str]:
    fixed = ("--seed", "1", "--store", store, "--dir", str(folder))
    return [sys.executable, "-m", "chaos", "run", *words, *fixed]


def run(*words: str, folder: Path, store: str = STORE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(chaos(*words, folder=folder, store=store), capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_every_guarantee_holds_through_bad_days(tmp_path: Path) -> None:
    done = run(*BAD_DAYS, "--duration", "7", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_every_guarantee_holds_with_mongodb_as_the_store(tmp_path: Path) -> None:
    if find_spec("secantus") is None:
        missing("SecantusDB")
    done = run(*OF_THE_STORE, "--duration", "7", folder=tmp_path, store="mongo")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_every_guarantee_holds_over_bad_connections(tmp_path: Path) -> None:
    try:
        find()
    except Impossible as error:
        missing(str(error))
    done = run(*BAD_CONNECTIONS, "--duration", "7", folder=tmp_path)
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
