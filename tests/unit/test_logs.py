"""Log lines, as a person and as a collector of logs meet them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging, warnings
from adapters import logs
logs.configure({level!r}, {form!r})
log = logging.getLogger("holdfast.test")
log.debug("quiet")
log.info("one %s", "two")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
warnings.warn("mind the gap")
"""


def lines(form: str, level: str = "info") -> list[str]:
    script = SCRIPT.format(form=form, level=level)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_line_for_people_has_time_level_place_and_message() -> None:
    assert "INFO    holdfast.test: one two" in lines("text")[0]
    assert lines("text")[0][10] == "T"


def test_json_lines_are_one_object_each_with_the_traceback_inside() -> None:
    parsed = [json.loads(line) for line in lines("json")]
    assert parsed[0]["level"] == "info"
    assert parsed[0]["logger"] == "holdfast.test"
    assert parsed[0]["message"] == "one two"
    assert parsed[0]["time"].endswith("Z")
    assert "ZeroDivisionError" in parsed[1]["exception"]
    assert "mind the gap" in parsed[2]["message"]


@pytest.mark.parametrize(("level", "shown"), [("debug", True), ("info", False)])
def test_what_is_below_the_level_is_left_out(level: str, shown: bool) -> None:
    assert any("quiet" in line for line in lines("text", level)) is shown
