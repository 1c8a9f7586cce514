"""Every program says what it is when it is asked, without a server and without a setting."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAMS = (
    *("api", "worker", "worker.sweeper", "adapters.migrate", "adapters.settings"),
    *("cli", "cli.keys", "chaos", "loadtest", "bench"),
)
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", program, *arguments]
    return subprocess.run(command, env=PLAIN, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_what_it_is(program: str) -> None:
    helped = run(program, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "usage:" in helped.stdout.lower()
    assert "-h, --help" in helped.stdout


def test_a_program_without_arguments_refuses_one() -> None:
    refused = run("api", "--nonsense")
    assert refused.returncode == 2
    assert "--nonsense" in refused.stderr
