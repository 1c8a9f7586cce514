"""The ports that tests give to what they start."""

from __future__ import annotations

import pytest

from tests.support.processes import free_port


def test_processes_that_test_at_the_same_time_never_choose_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    for worker in ("gw0", "gw1", "gw2", "gw7"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        chosen += [free_port() for _ in range(100)]
    assert len(set(chosen)) == len(chosen)
