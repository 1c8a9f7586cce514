"""Scenarios say what they mean, or say what is wrong with them."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from chaos import scenario as scenarios
from chaos.__main__ import all_for
from chaos.errors import Impossible, ScenarioError
from chaos.faults import FAULTS, NETWORK
from chaos.lab import Lab
from chaos.soak import rounds
from chaos.system import PROGRAMS, SERVERS

ONE: dict[str, Any] = {"text": "Something breaks.", "duration": 10.0}
LINKS = {f"{program}-{server}" for program in PROGRAMS for server in SERVERS} | {"client-api"}
PARTS = {*PROGRAMS, *SERVERS}


@pytest.mark.parametrize("name", scenarios.names())
def test_every_scenario_breaks_what_there_is_and_ends_in_time(name: str) -> None:
    scenario = scenarios.load(name)
    for step in scenario.steps:
        assert step.fault in FAULTS
        targets = PARTS | LINKS if step.fault in NETWORK else PARTS | {f"{each}2" for each in PROGRAMS} | {"postgres"}
        assert step.target in targets
        assert step.at + (step.times - 1) * max(step.every, step.lasts) + step.lasts <= scenario.duration
        assert scenario.replicas == 2 or not step.target.endswith("2")


@pytest.mark.parametrize("name", scenarios.names())
def test_what_is_expected_of_requests_is_waited_for(name: str) -> None:
    scenario = scenarios.load(name)
    awaited = {each for step in scenario.steps for each in step.until}
    assert scenario.expect.keys() - {"ledger_lost"} == awaited


def test_the_known_bad_days_all_have_a_scenario() -> None:
    days = "postgres-latency postgres-down redis-down redis-latency broker-down broker-latency"
    more = "postgres-and-broker-down postgres-and-worker-down flapping rolling-restart long-outage"
    assert set(f"{days} {more} thundering-recovery everything".split()) <= set(scenarios.names())


def test_every_fault_is_in_some_scenario() -> None:
    used = {step.fault for name in scenarios.names() for step in scenarios.load(name).steps}
    assert used == set(FAULTS)


def test_all_for_mongodb_is_all_but_what_only_postgresql_has_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = {f"postgres-{fault}" for fault in ("disk-full", "exhausted", "locked", "read-only", "terminate")}
    assert {each.name for each in all_for("mongo")} == set(scenarios.names()) - left_out
    told = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(": not for mongo")[0] for line in told) == sorted(left_out)
    assert {each.name for each in all_for("postgres")} == set(scenarios.names())


def test_what_only_postgresql_has_is_left_out_of_a_scenario_for_mongodb() -> None:
    whole = scenarios.load("everything")
    fitting = whole.fitting("mongo")
    assert whole.fitting("postgres") == whole
    assert [each for each in whole.steps if each.fault != "terminate"] == fitting.steps != whole.steps


async def test_a_scenario_that_another_store_alone_can_have_is_refused_before_anything_is_started() -> None:
    with pytest.raises(Impossible, match="the store is mongo"):
        await Lab("mongo").system(scenarios.load("postgres-locked"))


def test_a_scenario_can_be_stretched_as_a_whole() -> None:
    step = {"fault": "kill", "target": "postgres", "at": 2, "lasts": 4, "times": 2, "every": 5, "spare": 7}
    stretched = scenarios.parse("one", {**ONE, "step": [step]}).lasting(20)
    assert (stretched.duration, *stretched.steps) == (
        20,
        scenarios.Step("kill", "postgres", at=4, lasts=8, times=2, every=10, options={"spare": 7}),
    )


def test_a_shortened_scenario_expects_less_but_never_nothing() -> None:
    scenario = scenarios.parse("one", {**ONE, "expect": {"accepted": 50, "ledger_lost": 1}})
    assert scenario.lasting(5).expect == {"accepted": 25, "ledger_lost": 1}
    assert scenario.lasting(20).expect == scenario.expect


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"colour": "red"}, "colour is none of"),
        ({"allow": ["everything"]}, "everything is no rule"),
        ({"expect": {"miracles": 1}}, "miracles is none of"),
        ({"step": [{"fault": "kill"}]}, "target"),
        ({"step": [{"fault": "kill", "target": "api", "until": ["refused"]}]}, "until refused, of which nothing"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused_with_a_reason(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        scenarios.parse("one", {**ONE, **wrong})


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ScenarioError, match="no scenario 'nothing'"):
        scenarios.load("nothing")


def test_a_soak_repeats_from_its_seed_and_never_breaks_one_part_twice_at_a_time() -> None:
    first, again, other = ([*islice(rounds(seed, "postgres"), 50)] for seed in (1, 1, 2))
    assert first == again != other
    for scenario in first:
        ends: dict[str, float] = {}
        for step in scenario.steps:
            part = {"broker": "ledger", "postgres": "store"}.get(step.target, step.target)
            assert step.at >= ends.get(part, 0.0)
            ends[part] = step.at + step.lasts


@pytest.mark.parametrize(("store", "breaks"), [("postgres", True), ("mongo", False)])
def test_a_soak_draws_only_what_its_store_has_and_says_what_it_does(store: str, breaks: bool) -> None:
    drawn = [*islice(rounds(1, store), 50)]
    assert all(each.steps and each.fitting(store) == each for each in drawn)
    assert any(step.target == "postgres" for each in drawn for step in each.steps) is breaks
    assert [each.text.count(" at ") for each in drawn] == [len(each.steps) for each in drawn]
