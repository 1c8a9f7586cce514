"""A real Prometheus that scrapes a stack and judges it by the project's own rules, only sooner."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from .processes import Server, free_port, missing

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules"


class Prometheus:
    """Answers questions in its query language."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series now. Raises AssertionError where it does not understand the expression."""
        answer = self._http.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Of the only series, None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextlib.contextmanager
def running_prometheus(targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """targets: the URLs of programs, by the name of their job."""
    program = shutil.which("prometheus")
    if program is None:
        missing("prometheus")
    with tempfile.TemporaryDirectory(prefix="holdfast-prometheus-") as name:
        folder = Path(name)
        config, url = folder / "prometheus.yml", f"http://127.0.0.1:{free_port()}"
        config.write_text(_config(folder, targets))
        command = [
            str(program),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--log.level=warn",
        ]
        server = Server("prometheus", url, command, folder=folder, answers=_answers)
        server.start()
        try:
            with httpx.Client(base_url=url, timeout=30) as http:
                yield Prometheus(http)
        finally:
            server.kill()


def _config(folder: Path, targets: Mapping[str, str]) -> str:
    for rules in RULES.glob("*.yml"):
        (folder / f"rules-{rules.name}").write_text(re.sub(r"for: \d+m", "for: 1s", rules.read_text()))
    jobs = [
        f"  - job_name: {job}\n    static_configs: [{{targets: ['{url.removeprefix('http://')}']}}]\n"
        for job, url in targets.items()
    ]
    begin = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}\n"
    return f"{begin}rule_files: ['{folder}/rules-*.yml']\nscrape_configs:\n{''.join(jobs)}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
