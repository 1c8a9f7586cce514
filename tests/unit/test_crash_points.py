"""The points at which a test has a process die or wait, themselves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.assembly import assemble
from adapters.crash_points import EXIT_CODE, POINTS, watched, with_points
from adapters.memory_ledger import MemoryLedger
from adapters.settings import Settings
from holdfast.operations.ports import Hold
from holdfast.operations.write import Writer
from tests.support.engine import operation
from tests.support.polling import until

ROOT = Path(__file__).parents[2]

DIES = """
import asyncio, sys
from pathlib import Path
from adapters.crash_points import Folder

async def pass_three_times():
    folder = Folder(Path(sys.argv[1]))
    for number in range(3):
        print("passing", number, flush=True)
        await folder.reach("hold.done")

asyncio.run(pass_three_times())
"""


def die(folder: Path) -> tuple[int, int]:
    """The exit code, and how often a process came to the point."""
    command = [sys.executable, "-c", DIES, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.count("passing")


def test_a_process_dies_at_the_passing_that_was_asked_for_and_only_one_does(tmp_path: Path) -> None:
    assert die(tmp_path) == (0, 3)
    (tmp_path / "hold.done").write_text("exit 2")
    assert die(tmp_path) == (EXIT_CODE, 2)
    assert die(tmp_path) == (0, 3)


async def test_a_call_waits_at_its_point_until_it_is_let_go_and_others_pass(tmp_path: Path) -> None:
    ledger = with_points(MemoryLedger(), "ledger", tmp_path)
    (tmp_path / "hold.before").write_text("pause")
    first, second = operation(), operation(resource="notes/2")
    waiting = asyncio.ensure_future(ledger.hold([Hold(first)]))
    await until((tmp_path / "hold.before.passed").exists)
    await ledger.hold([Hold(second)])
    assert await ledger.jobs([first.id]) == [None]
    (tmp_path / "hold.before.passed").unlink()
    assert [job.operation for job in await waiting] == [first]


async def test_the_points_of_a_step_lie_before_and_after_it() -> None:
    ledger = MemoryLedger()
    seen: dict[str, int] = {}

    async def reach(point: str) -> None:
        seen[point] = (await ledger.stats()).waiting

    await watched(ledger, "ledger", reach).hold([Hold(operation())])
    assert seen == {"hold.before": 0, "hold.done": 1}


def test_a_process_without_the_setting_has_no_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[str]()
    monkeypatch.setattr("adapters.crash_points.watched", lambda port, name, reach: made.append(name) or port)
    assert type(assemble(Settings(store="memory")).writer) is Writer
    assert made == []
    assemble(Settings(store="memory", crash_points=tmp_path))
    assert sorted(made) == ["cache", "ledger", "store", "writer"]


def test_every_point_has_a_place_in_the_page_about_them() -> None:
    page = (ROOT / "docs/explanation/crash-points.md").read_text()
    assert [point for point in POINTS if f"`{point}`" not in page] == []
