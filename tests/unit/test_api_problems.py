"""What a client is told of each error, and what it is not."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from api import problems
from api.documents import examples
from api.problems import KINDS, REFUSALS, invalid, problem_of, refusal
from holdfast.errors import (
    BulkheadFull,
    CircuitOpen,
    OutcomeUnknown,
    Overloaded,
    Permanent,
    RateLimited,
    Rejected,
    TimedOut,
    Transient,
    Unavailable,
)
from holdfast.operations.model import Problem, ProblemType, Refused

PAGES = Path(__file__).parents[2] / "docs" / "problems"


def answered(problem: problems.HttpProblem) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = problem.answer()
    return status, {name.decode(): value.decode() for name, value in headers}, json.loads(body)


@pytest.mark.parametrize(
    ("error", "slug", "status"),
    [
        (Overloaded("full", retry_after=1.2), "overloaded", 503),
        (BulkheadFull("full", retry_after=1.2), "overloaded", 503),
        (CircuitOpen("open", retry_after=1.2), "unavailable", 503),
        (Rejected("no", retry_after=1.2), "unavailable", 503),
        (RateLimited("spent", retry_after=1.2), "rate-limited", 429),
    ],
)
def test_a_refusal_of_ours_says_when_to_come_back_in_whole_seconds(error: Exception, slug: str, status: int) -> None:
    code, headers, body = answered(problem_of(error, keyed=False))
    assert (code, body["type"], body["status"]) == (status, f"/problems/{slug}", status)
    assert headers["retry-after"] == "2"
    assert headers["content-type"] == "application/problem+json"
    assert "Nothing has happened" in body["detail"]


@pytest.mark.parametrize("seconds", [0.0, 0.001, 1.0])
def test_nobody_is_asked_to_come_back_at_once(seconds: float) -> None:
    assert answered(problem_of(Overloaded("full", retry_after=seconds)))[1]["retry-after"] == "1"


def test_a_write_that_may_have_happened_says_what_is_safe_to_do() -> None:
    status, headers, keyed = answered(problem_of(TimedOut("late"), keyed=True))
    assert (status, keyed["type"]) == (503, "/problems/outcome-unknown")
    assert "retry-after" in headers
    assert "same Idempotency-Key: that is safe" in keyed["detail"]
    assert "before you repeat it" in answered(problem_of(OutcomeUnknown("lost"), keyed=False))[2]["detail"]


def test_a_read_that_had_no_answer_has_not_done_anything() -> None:
    assert answered(problem_of(OutcomeUnknown("lost")))[2]["type"] == "/problems/unavailable"


@pytest.mark.parametrize("error", [Unavailable, OutcomeUnknown, Transient])
def test_what_a_driver_said_stays_here(error: type[Transient]) -> None:
    told = answered(problem_of(error("password for user admin at 10.1.2.3 refused"), keyed=True))
    assert "10.1.2.3" not in json.dumps(told[2])


@pytest.mark.parametrize("error", [KeyError("secret"), Permanent("secret"), TimeoutError("secret")])
def test_a_fault_of_ours_is_told_as_an_incident_that_the_log_explains(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, headers, body = answered(problem_of(error, keyed=True))
    assert (status, body["type"]) == (500, "/problems/internal-error")
    assert "retry-after" not in headers
    assert "secret" not in json.dumps(body)
    assert body["incident"] in body["detail"]
    [line] = caplog.records
    assert body["incident"] in line.getMessage()
    assert line.exc_info is not None
    assert line.exc_info[1] is error


@pytest.mark.parametrize("type_", ProblemType)
def test_every_refusal_of_the_engine_is_a_4xx_of_its_own_name(type_: ProblemType) -> None:
    status, headers, body = answered(refusal(Refused(Problem(type_, "because"), replayed=True)))
    assert 400 <= status < 500
    assert body == {"type": f"/problems/{type_}", "title": REFUSALS[type_].title, "status": status, "detail": "because"}
    assert headers["idempotent-replayed"] == "true"


def test_a_bad_request_names_its_place() -> None:
    status, _, body = answered(invalid("limit: too large", parameter="limit"))
    assert (status, body["errors"]) == (400, [{"detail": "limit: too large", "parameter": "limit"}])


def test_every_type_has_a_page_and_an_example_and_every_page_a_type() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(KINDS)
    assert set(examples.problems()) == set(KINDS)


@pytest.mark.parametrize("slug", KINDS)
def test_a_page_begins_with_the_title_and_says_type_and_status(slug: str) -> None:
    text = (PAGES / f"{slug}.md").read_text()
    assert text.startswith(f"# {KINDS[slug].title}\n")
    assert re.search(rf"`/problems/{slug}`.*{KINDS[slug].status}", text)
