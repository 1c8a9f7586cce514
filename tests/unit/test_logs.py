"""Log lines, as a person and as a collector of logs meet them."""

from __future__ import annotations

import json
import os
import pty
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
class RowRefused(Exception): pass
try:
    try:
        raise RowRefused("it does not fit\\nDETAIL: the row is hidden")
    except RowRefused as error:
        variable = "hidden"
        raise ValueError("broken") from error
except ValueError:
    log.exception("trouble")
warnings.warn("mind the gap")
log.info("about one", extra={{"operation_id": "0123", "args_of_a_task": "hidden"}})
logs.about("4567")
log.info("cannot reach redis://user:hidden@host:6379/0")
"""


def lines(form: str, level: str = "info") -> list[str]:
    script = SCRIPT.format(form=form, level=level)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def parsed(form: str = "json") -> list[dict[str, str]]:
    return [json.loads(line) for line in lines(form)]


def test_a_line_for_people_has_time_level_message_and_place() -> None:
    first = lines("text")[0]
    assert "[info     ] one two [holdfast.test]" in first
    assert (first[10], first[26]) == ("T", "Z")


def test_json_lines_are_one_object_each_with_the_traceback_inside() -> None:
    first, second, third = parsed()[:3]
    assert first["level"] == "info"
    assert first["logger"] == "holdfast.test"
    assert first["message"] == "one two"
    assert first["time"].endswith("Z")
    assert "ValueError: broken" in second["exception"]
    assert "RowRefused: it does not fit" in second["exception"]
    assert 'File "<string>", line 14' in second["exception"]
    assert "mind the gap" in third["message"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_shows_neither_the_lines_behind_its_first_nor_variables(form: str) -> None:
    told = "\n".join(lines(form))
    assert "it does not fit" in told
    assert "hidden" not in told


def test_a_line_about_one_operation_names_it() -> None:
    *_, given, bound = parsed()
    assert given["operation_id"] == "0123"
    assert bound["operation_id"] == "4567"
    assert "operation_id=0123" in lines("text")[-2]


def test_a_url_is_shown_without_its_credentials() -> None:
    assert parsed()[-1]["message"] == "cannot reach redis://***@host:6379/0"


def test_on_a_terminal_the_form_is_for_people_and_elsewhere_for_machines() -> None:
    assert all(line["message"] for line in parsed("auto"))
    ours, terminal = pty.openpty()
    script = SCRIPT.format(form="auto", level="info")
    subprocess.run([sys.executable, "-c", script], stderr=terminal, check=True)
    os.close(terminal)
    assert not os.read(ours, 10_000).startswith(b"{")
    os.close(ours)


@pytest.mark.parametrize(("level", "shown"), [("debug", True), ("info", False)])
def test_what_is_below_the_level_is_left_out(level: str, shown: bool) -> None:
    assert any("quiet" in line for line in lines("text", level)) is shown
