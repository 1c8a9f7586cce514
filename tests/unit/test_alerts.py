"""The rules for Prometheus, as promtool takes them, and the pages that they lead to."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.settings.variables import variables
from tests.support.processes import missing

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
RUNBOOK = ROOT / "docs/runbook"
PAGES = sorted(page for page in RUNBOOK.glob("*.md") if page.name != "README.md")


def alerts() -> list[dict[str, Any]]:
    text = (ROOT / "deploy/prometheus/rules/alerts.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def promtool(*arguments: str | Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        missing("promtool")
    ran = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_can_read_the_rules() -> None:
    promtool("check", "rules", *RULES)


def test_each_alert_fires_when_it_should_and_not_otherwise() -> None:
    promtool("test", "rules", ROOT / "deploy/prometheus/tests/alerts.yml")


def test_each_alert_is_tried() -> None:
    tried = (ROOT / "deploy/prometheus/tests/alerts.yml").read_text(encoding="utf-8")
    for rule in alerts():
        assert re.search(rf"alertname: {rule['alert']}\n\s+exp_alerts:", tried), rule["alert"]


def test_each_alert_has_a_severity_and_a_page_of_its_own_in_the_runbook() -> None:
    assert {rule["labels"]["severity"] for rule in alerts()} == {"critical", "warning"}
    assert sorted(ROOT / rule["annotations"]["runbook_url"] for rule in alerts()) == PAGES


def test_the_runbook_lists_each_alert() -> None:
    index = (RUNBOOK / "README.md").read_text(encoding="utf-8")
    for rule in alerts():
        page = Path(rule["annotations"]["runbook_url"]).name
        assert re.search(rf"`{rule['alert']}` \| {rule['labels']['severity']} \| \[.+\]\({page}\)", index)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (alert,) = [rule for rule in alerts() if rule["annotations"]["runbook_url"].endswith(f"/{page.name}")]
    assert f"Alert `{alert['alert']}`, {alert['labels']['severity']}." in text
    for heading in ("## What to look at", "## What to do"):
        assert re.search(rf"^{heading}\n\n1\. ", text, re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / link).exists(), link
    for variable in re.findall(r"`(HOLDFAST_[A-Z_]+)`", text):
        assert variable in variables(), variable
