"""The benchmarks measure for as short a time as they are told to."""

from __future__ import annotations

import json
import sys
from subprocess import PIPE, run

from bench.store import Steps, Subject
from tests.support.stores import postgres_store


def test_the_bare_loop_commits_a_row_with_each_connection_even_in_no_time(postgres_url: str) -> None:
    command = [sys.executable, "-m", "bench.baseline", "--url", postgres_url, "--connections", "3", "--seconds", "0"]
    figures = json.loads(run(command, check=True, stdout=PIPE, text=True).stdout)
    assert figures["rows"] == 3
    assert 0 < figures["p50"] <= figures["p99"]


async def test_a_subject_is_measured_even_in_no_time(postgres_url: str) -> None:
    async with postgres_store(postgres_url) as store:
        subject = Subject("create", Steps(store, stock=1).create, 2, lanes=3)
        await subject.round(0.0)
    assert subject.per_second[0] > 0
    assert subject.cpu[0] > 0
