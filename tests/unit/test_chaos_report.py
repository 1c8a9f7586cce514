"""The report of a run says what was seen."""

from __future__ import annotations

from xml.dom.minidom import parseString

from chaos.checker import check
from chaos.exchanges import bars, met
from chaos.figures import quantiles, settling, summary, unmet
from chaos.history import Fault, History, Sample
from chaos.page import render
from chaos.runner import Run
from chaos.scenario import Scenario, parse
from chaos.workload import Load
from tests.support.histories import Tale

SCENARIO = parse("bad-day", {"text": "It <breaks>.", "duration": 10.0, "expect": {"accepted": 2}})


def bad_day() -> Tale:
    """A write before the outage, one held in it, a stale read, a refusal, a loss."""
    tale = Tale().write("a", "replace", 201, Tale().seen(1, "a"))
    tale.events.append(Fault(at=2.0, name="kill", target="postgres"))
    tale.hold("b", "merge").read(Tale().seen(1, "a"), stale=True)
    tale.write("c", "merge", 503, retry_after=1.0).lose(tale.send("d", "merge"))
    tale.events.append(Sample(at=10.5, breakers={"store": "open"}, waiting=1))
    tale.events.append(Fault(at=11.0, name="kill", target="postgres", over=True))
    return tale.job("b", "succeeded", Tale().seen(2, "a", "b"), status=200).final(Tale().seen(2, "a", "b"))


def run(tale: Tale, scenario: Scenario = SCENARIO) -> Run:
    return Run(scenario, Load(seed=4), History(events=tale.events), check(tale.events), None, 0)


def test_requests_are_counted_by_what_became_of_them() -> None:
    counted = summary(run(bad_day()))
    assert counted["requests"] == {
        "applied": 1,
        "accepted": 1,
        "definite": 0,
        "refused": 1,
        "lost": 1,
        "reads": 1,
        "stale": 1,
    }
    assert counted["statuses"] == {"lost": 1, "200": 1, "201": 1, "202": 1, "503": 1}
    assert (counted["changes"], counted["jobs"]) == (4, {"succeeded": 1})


def test_faults_are_told_with_their_times() -> None:
    assert [tuple(bar) for bar in bars(bad_day().events)] == [("kill postgres", 2.0, 11.0)]


def test_the_time_until_a_job_was_settled_is_measured_from_its_202() -> None:
    events = bad_day().events
    accepted = next(event.at for event in events if getattr(event, "status", 0) == 202)
    settled = next(event.at for event in events if getattr(event, "state", "") == "succeeded")
    assert settling(events) == [settled - accepted]


def test_a_fault_that_did_not_show_is_told() -> None:
    assert unmet(run(bad_day())) == ["2 accepted, 1 seen"]


def test_a_fault_shows_in_what_was_under_way_while_it_lasted_and_in_nothing_else() -> None:
    for answered, expected in ((3, []), (1, ["1 accepted, 0 seen"])):
        tale = Tale()
        request = tale.send("a", "replace")
        if answered == 1:
            tale.answer(request, 202, job="job-a")
        tale.events.append(Fault(at=2.0, name="freeze", target="postgres"))
        tale.events.append(Fault(at=2.5, name="freeze", target="postgres", over=True))
        if answered == 3:
            tale.answer(request, 202, job="job-a")
        wanted = parse("short", {"text": "It stutters.", "duration": 10.0, "expect": {"accepted": 1}})
        assert unmet(run(tale, wanted)) == expected


def test_a_fault_that_lasts_still_is_met_already() -> None:
    broken = bad_day().events[:-4]
    assert not any(isinstance(event, Fault) and event.over for event in broken)
    assert met(broken)["accepted"] == 1


def test_quantiles_are_of_the_times_that_were_measured() -> None:
    assert quantiles([]) == {}
    assert quantiles(range(101)) == {"p50": 50, "p99": 99, "max": 100}


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    shown = run(bad_day())
    page = render(shown, summary(shown))
    for chart in page.split("<svg")[1:]:
        parseString("<svg" + chart.partition("</svg>")[0] + "</svg>")
    assert page.count("<svg") == 4
    assert "It &lt;breaks&gt;." in page
    assert "kill postgres" in page
    assert "expected at least 2 accepted, 1 seen" in page
    assert "http" not in page
    assert "src=" not in page


def test_the_page_shows_every_violation_with_its_events() -> None:
    tale = bad_day().read(Tale().seen(1, "a"))
    shown = run(tale)
    page = render(shown, summary(shown))
    assert "1 violations (stale)" in page
    assert "read after somebody was told of version 2" in page
