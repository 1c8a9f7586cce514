"""The load suite's arithmetic: shapes, limits, and the reckoning that finds what was lost or done twice."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.figures import Figures, Limits, breaches, quantile
from loadtest.shapes import phase_at, shapes, users_at
from loadtest.truth import Record, Seen, Truth, Write, differences
from loadtest.wire import Answers

NAMES = list(shapes())


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_lasts_as_long_as_it_is_told_to_and_ends(name: str) -> None:
    phases = shapes()[name].phases(40, 100)
    assert sum(phase.seconds for phase in phases) == pytest.approx(100)
    assert max(users_at(phases, second) or 0 for second in range(100)) == 40
    assert users_at(phases, 0) in range(1, 41)
    assert users_at(phases, 100.001) is None
    assert phase_at(phases, 100.001) is None


def test_only_in_an_outage_the_store_goes_and_it_is_back_well_before_the_end() -> None:
    down = {name: [p.store_down for p in shapes()[name].phases(10, 60)] for name in NAMES}
    assert down.pop("outage") == [False, False, True, False]
    assert not any(any(phases) for phases in down.values())


def test_a_ramp_climbs() -> None:
    phases = shapes()["ramp"].phases(100, 100)
    assert [users_at(phases, second) for second in (0, 20, 40, 60, 90)] == [1, 25, 50, 75, 100]


def test_quantiles_are_by_the_nearest_rank() -> None:
    figures = Figures()
    for milliseconds in range(1, 101):
        figures.add(milliseconds, failed=False, held=False)
    assert [figures.quantile(share) for share in (0.5, 0.95, 1.0)] == [0.05, 0.095, 0.1]
    assert [quantile([float(n) for n in range(1, 101)], share) for share in (0.5, 0.95, 1.0)] == [50, 95, 100]
    assert (Figures().quantile(0.5), quantile([], 0.5)) == (0, 0)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_never_less_than_what_that_share_took(share: float) -> None:
    for count in range(1, 300):
        least = next(rank for rank in range(1, count + 1) if rank / count >= share - 1e-12)
        assert quantile([float(rank) for rank in range(1, count + 1)], share) == least


def run(*, requests: int = 1000, errors: int = 0, milliseconds: float = 10) -> Figures:
    figures = Figures()
    for number in range(requests):
        figures.add(milliseconds, failed=number < errors, held=False)
    return figures


@pytest.mark.parametrize(
    ("figures", "delays", "said"),
    [
        (run(errors=10), [], "errors: 1.00%, the limit is 1.00%"),
        (run(milliseconds=200), [], "p95 of requests: 0.200 s, the limit is 0.200 s"),
        (run(), [1.0] * 90 + [31.0] * 10, "p95 from accepted to settled: 31.0 s, the limit is 30.0 s"),
        (run(), [1.0] * 98 + [121.0] * 2, "p99 from accepted to settled: 121.0 s, the limit is 120.0 s"),
        (run(requests=0), [], "no request was made"),
    ],
)
def test_each_limit_is_noticed_when_it_is_reached(figures: Figures, delays: list[float], said: str) -> None:
    assert breaches(figures, delays, Limits()) == [said]


def test_a_run_within_its_limits_is_good() -> None:
    assert breaches(run(errors=9, milliseconds=199), [29.0] * 95 + [119.0] * 5, Limits()) == []


def written(*kinds: str, refused: int | None = None) -> Record:
    writes = [Write(kind, f"k{n}", f"m{n}", effect=n != refused) for n, kind in enumerate(kinds)]
    return Record("one", writes)


STORY = written("create", "merge", "replace", "merge")


def test_a_record_in_which_every_write_stands_once_is_right() -> None:
    assert differences(STORY, Seen(4, {"m2": 1, "m3": 1})) == []
    assert differences(written("create", "delete"), Seen(None, None)) == []
    assert differences(written("create", "delete", "replace"), Seen(3, {"m2": 1})) == []
    assert differences(written("create", "merge", refused=1), Seen(1, {"m0": 1})) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Seen(3, {"m2": 1}), ["lost: m3", "version 3, expected 4"]),
        (Seen(5, {"m2": 1, "m3": 1}), ["version 5, expected 4"]),
        (Seen(4, {"m2": 1}), ["lost: m3"]),
        (Seen(4, {"m1": 1, "m2": 1, "m3": 1}), ["came back or was refused and stands: m1"]),
        (Seen(None, None), ["lost: m2", "lost: m3", "version None, expected 4"]),
        (Seen(4, {"m2": 2, "m3": 1}), ["expected Seen(version=4, data={'m2': 1, 'm3': 1}), found "]),
    ],
)
def test_what_is_lost_done_twice_or_out_of_order_is_said(seen: Seen, said: list[str]) -> None:
    found = differences(STORY, seen)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


def answering(status: int, answer: Any) -> Answers:
    return Answers(lambda *_: (status, answer), "load")


@pytest.mark.parametrize(
    ("status", "effect"), [(200, True), (204, True), (404, False), (409, None), (429, None), (503, None), (0, None)]
)
def test_an_answer_is_a_yes_a_no_or_unknown(status: int, effect: bool | None) -> None:
    record, write = Record("one"), Write("merge", "k", "m")
    record.writes.append(write)
    answering(status, None).write(record, write)
    assert (write.effect, record.unknown) == (effect, effect is None)


def test_a_created_record_gets_its_id_at_once_or_from_its_job() -> None:
    for status, answer in ((201, {"id": "x"}), (202, {"id": "job", "resource": "load/x"})):
        record, write = Record(), Write("create", "k", "m")
        answering(status, answer).write(record, write)
        assert record.id == "x"
        assert write.job == ("job" if status == 202 else None)


@pytest.mark.parametrize(("state", "effect"), [("succeeded", True), ("failed", False), ("dead", False)])
def test_a_settled_job_tells_what_became_of_its_write_and_how_long_it_took(state: str, effect: bool) -> None:
    truth, write = Truth(), Write("merge", "k", "m", job="j")
    job = {"state": state, "accepted_at": "2026-01-01T00:00:00.000Z", "settled_at": "2026-01-01T00:00:02.500Z"}
    answering(200, job).poll(truth, write)
    assert (write.effect, truth.delays) == (effect, [2.5])
    waiting = Write("merge", "k", "m", job="j")
    answering(200, job | {"settled_at": None}).poll(truth, waiting)
    assert (waiting.effect, truth.delays) == (None, [2.5])
