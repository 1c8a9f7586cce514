"""A run breaks what its scenario says, and for as long as it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from chaos.history import History, Lost
from chaos.runner import run
from chaos.scenario import Scenario, Step
from chaos.toxiproxy import Toxiproxy
from chaos.workload import Load
from tests.support.processes import free_port


class Nobody:
    """A system that is never there. steered: what was done to it, with the number of requests lost until then."""

    store = "postgres"
    folder = Path()
    proxies: Toxiproxy | None = None

    def __init__(self) -> None:
        self.urls: Sequence[str] = [f"http://127.0.0.1:{free_port()}"]
        self.steered: list[tuple[str, int]] = []
        self.lost = 0

    def watch(self, history: History) -> None:
        self.history = history

    def require(self, scenario: Scenario) -> None:
        """It takes any."""

    def links(self, target: str) -> list[str]:
        return []

    def server(self, name: str) -> str:
        raise AssertionError(name)

    async def steer(self, command: str, name: str) -> None:
        self.steered.append((command, sum(isinstance(event, Lost) for event in self.history.events)))

    async def process(self, name: str) -> psutil.Process:
        raise AssertionError(name)

    async def until_ready(self, name: str) -> None:
        raise AssertionError(name)

    async def keep_logs(self, folder: Path) -> None:
        raise AssertionError(folder)


async def steps_of(tmp_path: Path, *until: str) -> list[tuple[str, int]]:
    """How a short spell, twice, went."""
    nobody = Nobody()
    step = Step("kill", "api", at=0.5, lasts=0.0, times=2, until=until)
    scenario = Scenario("short", "It is away.", 1.0, [step], expect={"lost": 30}, settle_within=0.0)
    await run(scenario, Load(), nobody, tmp_path, nobody.watch)
    return nobody.steered


async def test_a_fault_lasts_until_what_is_expected_of_it_was_seen(tmp_path: Path) -> None:
    (_, before), _, _, (_, after) = await steps_of(tmp_path, "lost")
    assert after - before >= 30


async def test_a_fault_that_waits_for_nothing_lasts_no_longer_than_it_says(tmp_path: Path) -> None:
    (_, before), _, _, (_, after) = await steps_of(tmp_path)
    assert after - before < 30
