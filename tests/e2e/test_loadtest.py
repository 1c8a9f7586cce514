"""The load suite as its user runs it: over a real outage, and on an API that lies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.processes import free_port, wait_until


def loadtest(*arguments: str, stderr: int = subprocess.PIPE, **env: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "-m", "loadtest", *arguments], os.environ | env
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=280, check=False)


@contextmanager
def answering(**env: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.support.lying_api:app", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        try:
            return httpx.get(f"{url}/livez").is_success
        except httpx.TransportError:
            return False

    with subprocess.Popen([*command, "--log-level", "error"], env=os.environ | env) as server:
        try:
            wait_until(up, "the API answers")
            yield url
        finally:
            server.terminate()


def test_an_outage_under_load_loses_nothing_and_the_report_shows_its_phases(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = loadtest("outage", "--seconds", "16", "--users", "10", "--report", str(page))
    assert "no write was lost, and none took effect twice" in done.stdout, done.stdout + done.stderr
    # The commands that take the store away and bring it back may be late.
    rows = [line.split() for line in done.stdout.splitlines()]
    assert sum(int(row[5]) for row in rows if row[:1] in (["outage"], ["after"])) > 0
    assert all(f">{phase}</div>" in page.read_text() for phase in ("warm-up", "healthy", "outage", "after"))


def test_a_write_lost_doubled_or_never_settled_is_found_and_sets_the_exit_code() -> None:
    with answering(LIE="yes") as url:
        done = loadtest(
            "steady", "--seconds", "5", "--users", "10", "--host", url, LOADTEST_SETTLE_WITHIN="1", LOADTEST_P95="0"
        )
    assert done.returncode == 1
    assert "BEYOND ITS LIMIT p95 of requests" in done.stdout
    for said in ("lost: m", r"version \d+, expected \d+", "is not settled"):
        assert re.search(f"^WRONG .*{said}", done.stdout, re.MULTILINE), said


def test_an_honest_api_passes_and_the_verdict_stands_below_all_tables() -> None:
    arguments = ("steady", "--seconds", "5", "--users", "5")
    with answering() as url:
        done = loadtest(*arguments, "--host", url, stderr=subprocess.STDOUT, LOADTEST_P95="60")
    assert done.returncode == 0, done.stdout
    assert done.stdout.rindex("no write was lost") > done.stdout.rindex("Aggregated")


def test_what_cannot_be_run_is_refused_with_a_reason() -> None:
    nobody = "http://127.0.0.1:1"
    done = loadtest("steady", "--host", nobody)
    assert (done.returncode, f"no Holdfast API answers at {nobody}" in done.stderr) == (2, True)
    with answering() as url:
        done = loadtest("outage", "--host", url)
    assert done.returncode == 2
    assert "needs --store-down and --store-up" in done.stderr
    assert "is not one of 'steady', 'ramp'" in loadtest("fast").stderr
