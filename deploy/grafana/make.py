"""`python deploy/grafana/make.py` makes `dashboards/*.json` from `panels/*.toml`, which is what people edit.

A file of panels has a `title` and `[[panel]]`s: `title`, `unit` (Grafana's name), `text` (what it tells; optional),
`width` (of 24), `kind` (`timeseries` unless it says `stat`), `alarm` (from which value on it is red; optional) and
`queries`, by the legend of each.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH = 24
_HEIGHTS = {"stat": 4, "timeseries": 8}


def dashboard(name: str, source: dict[str, Any]) -> dict[str, Any]:
    """What Grafana reads. The panels flow from left to right, in rows of 24 columns."""
    return {
        "uid": f"holdfast-{name}",
        "title": f"Holdfast: {source['title']}",
        "tags": ["holdfast"],
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "10s",
        "links": [{"type": "dashboards", "tags": ["holdfast"], "title": "Holdfast", "asDropdown": True}],
        "templating": {
            "list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "panels": _placed(source["panel"]),
    }


def _placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    placed, x, y, height = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        kind = panel.get("kind", "timeseries")
        width = panel.get("width", 12)
        if x + width > _WIDTH:
            x, y, height = 0, y + height, 0
        height = max(height, _HEIGHTS[kind])
        place = {"x": x, "y": y, "w": width, "h": _HEIGHTS[kind]}
        placed.append({"id": number, "gridPos": place, **_panel(panel, kind)})
        x += width
    return placed


def _panel(panel: dict[str, Any], kind: str) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom = {}
    if "alarm" in panel:
        steps.append({"color": "red", "value": panel["alarm"]})
        custom = {"thresholdsStyle": {"mode": "line"}} if kind == "timeseries" else {}
    return {
        "title": panel["title"],
        "type": kind,
        "description": panel.get("text", ""),
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": panel["unit"],
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": custom,
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
            for n, (legend, expr) in enumerate(panel["queries"].items())
        ],
    }


def text(source: Path) -> str:
    """The dashboard of a file of panels."""
    made = dashboard(source.stem, tomllib.loads(source.read_text(encoding="utf-8")))
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for source in sorted((HERE / "panels").glob("*.toml")):
        (HERE / "dashboards" / f"{source.stem}.json").write_text(text(source), encoding="utf-8")
