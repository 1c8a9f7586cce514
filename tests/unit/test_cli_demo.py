"""The proof at the end of the demo: whatever is wrong shows."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.demo.client import Written
from cli.demo.story import Seen, facts, judge
from cli.main import main

CREATED = [Written(201, f"/v1/records/demo/{number}", None) for number in range(3)]
HELD = [Written(202, f"/v1/jobs/{number}", str(number)) for number in range(3)]


def records(numbers: list[int], version: int = 1) -> list[dict[str, Any]]:
    return [{"data": {"number": number}, "version": version} for number in numbers]


RIGHT = Seen(
    before=CREATED,
    during=HELD,
    cache_status="holdfast; hit; detail=store-unavailable",
    states=Counter({"succeeded": 3}),
    records=records([3, 1, 2, 0, 5, 4]),
)


def wrong(seen: Seen) -> list[str]:
    return [fact for fact, holds in facts(seen, each=3).items() if not holds]


def test_all_is_right_when_nothing_was_lost() -> None:
    assert wrong(RIGHT) == []


def test_a_write_held_before_the_outage_is_as_good_if_its_job_succeeded() -> None:
    early = Written(202, "/v1/jobs/early", "early")
    assert wrong(replace(RIGHT, before=[*CREATED[:2], early])) == ["every job succeeded"]
    assert wrong(replace(RIGHT, before=[*CREATED[:2], early], states=Counter({"succeeded": 4}))) == []


ACKNOWLEDGED = "3 writes were acknowledged before the outage"
ACCEPTED = "3 writes were answered 202 Accepted during it, each with a job of its own"
CACHED = "the read came from the cache and said so"
SUCCEEDED = "every job succeeded"
ONCE = "each of the 6 records is there, once"
VERSION = "each has version 1"


@pytest.mark.parametrize(
    ("seen", "fact"),
    [
        (replace(RIGHT, before=CREATED[:2]), ACKNOWLEDGED),
        (replace(RIGHT, during=[*HELD[:2], CREATED[0]], states=Counter({"succeeded": 2})), ACCEPTED),
        (replace(RIGHT, cache_status="holdfast; fwd=miss"), CACHED),
        (replace(RIGHT, states=Counter({"succeeded": 2, "dead": 1})), SUCCEEDED),
        (replace(RIGHT, states=Counter({"succeeded": 2})), SUCCEEDED),
        (replace(RIGHT, records=records([0, 1, 2, 3, 4])), ONCE),
        (replace(RIGHT, records=records([0, 1, 2, 3, 4, 5, 5])), ONCE),
        (replace(RIGHT, records=records([0, 1, 2, 3, 4]) + records([5], 2)), VERSION),
    ],
)
def test_what_went_wrong_is_named(seen: Seen, fact: str) -> None:
    assert wrong(seen) == [fact]


def test_one_wrong_fact_is_shown_and_spoils_the_verdict() -> None:
    console = Console(file=io.StringIO())
    with console.capture() as shown:
        assert not judge(console, {ONCE: False, VERSION: True})
    assert shown.get() == f"✗ not so: {ONCE}\n✓ {VERSION}\n"
    assert judge(console, {ONCE: True, VERSION: True})


@pytest.mark.parametrize(("right", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_is_the_verdict(right: bool, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.demo.play.play", lambda layout: right)
    assert CliRunner().invoke(main, ["demo"]).exit_code == code
