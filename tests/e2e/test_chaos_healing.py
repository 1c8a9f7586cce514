"""However a run ends, what it has broken is whole again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from chaos import scenario as scenarios
from chaos.errors import Impossible
from chaos.history import Fault, History
from chaos.http import Connection
from chaos.local import local
from chaos.runner import run
from chaos.toxiproxy import find
from chaos.workload import Load
from tests.support.polling import until_seen
from tests.support.processes import wait_until

BROKEN = [
    {"fault": "lock", "target": "postgres"},
    {"fault": "fill", "target": "ledger"},
    {"fault": "freeze", "target": "worker"},
    {"fault": "kill", "target": "sweeper"},
]
PROXIED = [{"fault": "blackhole", "target": "api-cache"}]
PATIENCE = 60.0


def has_proxy() -> bool:
    try:
        find()
    except Impossible:
        return False
    return True


@pytest.mark.timeout(300)
def test_ctrl_c_ends_all_that_was_started(tmp_path: Path) -> None:
    name = "ledger-half-open" if has_proxy() else "postgres-frozen"
    history = tmp_path / f"{name}-1" / "history.jsonl"
    command = [sys.executable, "-m", "chaos", "run", name, "--seed", "1", "--dir", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as child:
        wait_until(lambda: history.exists() and '"Fault"' in history.read_text(), "something is broken", seconds=120)
        ours = psutil.Process(child.pid).children(recursive=True)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to all that are in its session
        said, _ = child.communicate(timeout=150)
    assert "Aborted!" in said
    assert "Traceback" not in said
    assert child.returncode == 1
    assert psutil.wait_procs(ours, timeout=PATIENCE)[1] == []  # the system may be slow to bury who was left behind


@pytest.mark.timeout(300)
async def test_a_run_that_is_ended_early_leaves_nothing_broken(tmp_path: Path) -> None:
    steps = [{**each, "at": 0.2, "lasts": 600} for each in BROKEN + PROXIED * has_proxy()]
    scenario = scenarios.parse("endless", {"text": "All breaks.", "duration": 700.0, "step": steps})
    all_broken = asyncio.Event()

    def watch(history: History) -> None:
        if sum(isinstance(each, Fault) for each in history.events) == len(steps):
            all_broken.set()

    async with local(tmp_path / "stack", {"HOLDFAST_STORE": "postgres"}, proxied=has_proxy()) as system:
        running = asyncio.create_task(run(scenario, Load(), system, tmp_path, watch))
        await asyncio.wait_for(all_broken.wait(), 150)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await system.process("worker")).status() != psutil.STATUS_STOPPED
        assert (await system.process("sweeper")).is_running()
        with Connection(system.urls[0], timeout=PATIENCE) as connection:
            await until_well(connection)


async def until_well(connection: Connection) -> None:
    """A write goes straight to the store, and one is held."""
    body = {"content-type": "application/json"}
    held = {**body, "prefer": "respond-async"}

    async def put(id_: str, headers: dict[str, str], *wanted: int) -> bool:
        return (await connection.request("PUT", f"/v1/records/probe/{id_}", headers, b"{}")).status in wanted

    await until_seen(lambda: put("1", body, 200, 201), "a write in the store")
    await until_seen(lambda: put("2", held, 202), "a write that is held")
