"""The dashboards are those that their sources make."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
SOURCES = sorted((GRAFANA / "panels").glob("*.toml"))


def test_there_is_one_for_each_part_of_the_system() -> None:
    assert [source.stem for source in SOURCES] == ["api", "cache", "ledger", "overview", "runtime", "store", "worker"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_dashboard_is_made_from_its_panels(source: Path) -> None:
    made = runpy.run_path(str(GRAFANA / "make.py"))["text"](source)
    shown = (GRAFANA / "dashboards" / f"{source.stem}.json").read_text(encoding="utf-8")
    assert shown == made, "run: python deploy/grafana/make.py"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_panel_lies_on_another_or_beyond_the_edge(source: Path) -> None:
    made = json.loads((GRAFANA / "dashboards" / f"{source.stem}.json").read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
