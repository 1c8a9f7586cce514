"""What the checker accepts, and what it catches: for every rule the smallest history that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.checker import RULES, Violation, check
from chaos.history import Fault, Seen
from tests.support.histories import Tale


def only(violations: list[Violation]) -> Violation:
    assert [one.rule for one in violations] == [violations[0].rule], "\n".join(map(str, violations))
    return violations[0]


def rules(tale: Tale) -> list[str]:
    return [one.rule for one in check(tale.events)]


def doc(version: int, base: str, *merges: str) -> Seen:
    return Tale().seen(version, base, *merges)


def made(tale: Tale, version: int = 1, tag: str = "x") -> Tale:
    """The record has been made by a replace."""
    return tale.write(tag, "replace", 201, doc(version, tag))


def good() -> Tale:
    """One of everything, all as promised."""
    tale = Tale()
    made(tale)
    tale.write("m1", "merge", 200, doc(2, "x", "m1"), if_match=1)
    tale.write("no", "merge", 412, if_match=1, problem="precondition-failed")
    tale.read(doc(2, "x", "m1"))
    tale.hold("m2", "merge").read(doc(2, "x", "m1"), pending=True)
    tale.read(doc(1, "x"), stale=True)
    tale.lose(tale.send("m3", "merge"))
    tale.write("late", "merge", 503, retry_after=1.0)
    tale.job("m2", "queued").job("m2", "running").heal().job("m2", "succeeded", doc(3, "x", "m1", "m2"), status=200)
    tale.write("m4", "merge", 200, doc(5, "x", "m1", "m2", "m3", "m4"))
    tale.write("d", "delete", 204, version=6).read(None)
    tale.write("gone", "merge", 404, problem="not-found")
    tale.write("y", "replace", 201, doc(7, "y"), if_absent=True)
    return tale.final(doc(7, "y"))


def test_a_history_in_which_all_went_well_has_no_violation() -> None:
    assert check(good().events) == []


def test_what_nobody_was_told_may_have_happened_or_not() -> None:
    for happened in (True, False):
        tale = made(Tale())
        tale.lose(tale.send("m", "merge"))
        tale.final(doc(2, "x", "m") if happened else doc(1, "x"))
        assert check(tale.events) == []


def test_a_create_without_an_answer_is_found_where_the_server_has_put_it() -> None:
    tale = Tale("notes/new")
    tale.lose(tale.send("c", "create", resource=None))
    assert check(tale.final(tale.seen(1, "c")).events) == []


def test_an_unsure_delete_explains_the_version_and_the_absence() -> None:
    tale = made(Tale())
    tale.lose(tale.send("d", "delete"))
    tale.read(None).write("y", "replace", 201, doc(3, "y")).final(doc(3, "y"))
    assert check(tale.events) == []


def test_concurrent_changes_may_take_effect_in_either_order() -> None:
    for first, second in (("a", "b"), ("b", "a")):
        tale = made(Tale())
        requests = {tag: tale.send(tag, "merge") for tag in ("a", "b")}
        tale.answer(requests[second], 200, version=3, seen=doc(3, "x", "a", "b"))
        tale.answer(requests[first], 200, version=2, seen=doc(2, "x", first))
        assert check(tale.final(doc(3, "x", "a", "b")).events) == []


def test_a_repeat_that_is_answered_like_the_first_one_is_one_change() -> None:
    tale = made(Tale())
    tale.lose(tale.send("m", "merge")).write("m", "merge", 409, problem="in-flight", retry_after=1.0)
    tale.write("m", "merge", 200, doc(2, "x", "m")).write("m", "merge", 200, doc(2, "x", "m"))
    assert check(tale.final(doc(2, "x", "m")).events) == []


def test_what_was_told_and_is_in_no_later_document_is_lost() -> None:
    tale = made(Tale()).write("m", "merge", 200, version=2)
    tale.write("n", "merge", 200, doc(3, "x", "n"))
    found = only(check(tale.events))
    assert found.rule == "lost"
    assert "merge m made version 2" in found.text


def test_what_was_shown_and_is_shown_no_more_is_lost() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    tale.write("n", "merge", 200, doc(3, "x", "n")).write("o", "merge", 200, doc(4, "x", "n", "o"))
    assert only(check(tale.events)).text.startswith("m is in version 2")


def test_a_loss_is_told_once_though_it_leaves_versions_unexplained() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    tale.write("n", "merge", 200, doc(4, "x", "n"))
    assert only(check(tale.events)).rule == "lost"


def test_an_acknowledged_change_that_the_end_does_not_have_is_lost() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    assert only(check(tale.final(doc(1, "x")).events)).rule == "lost"


def test_a_record_that_is_gone_in_the_end_without_a_delete_is_lost() -> None:
    assert only(check(made(Tale()).final(None).events)).rule == "lost"


def test_an_acknowledged_delete_that_left_no_trace_is_lost() -> None:
    tale = made(Tale()).write("d", "delete", 204)
    tale.write("m", "merge", 200, doc(2, "x", "m")).final(doc(2, "x", "m"))
    found = only(check(tale.events))
    assert found.rule == "lost"
    assert "delete d" in found.text


def test_a_merge_that_two_bases_show_took_effect_twice() -> None:
    tale = made(Tale())
    tale.lose(tale.send("m", "merge"))
    tale.read(doc(2, "x", "m")).write("y", "replace", 200, doc(3, "y"))
    tale.read(doc(4, "y", "m")).final(doc(4, "y", "m"))
    found = only(check(tale.events))
    assert found.rule == "twice"
    assert "merge m" in found.text


def test_an_operation_that_is_told_two_versions_took_effect_twice() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    tale.write("y", "replace", 200, doc(3, "y")).write("m", "merge", 200, doc(4, "y", "m"))
    assert "twice" in rules(tale)


def test_an_operation_that_is_told_two_versions_took_effect_twice_even_if_nobody_looked() -> None:
    tale = made(Tale()).write("m", "merge", 200, version=2).write("m", "merge", 200, version=3)
    tale.lose(tale.send("n", "merge"))
    assert only(check(tale.events)).rule == "twice"


def test_a_create_that_made_two_records_took_effect_twice() -> None:
    tale = Tale()
    tale.lose(tale.send("c", "create", resource=None))
    tale.final(tale.seen(1, "c"))
    tale.resource = "notes/b"
    tale.final(tale.seen(1, "c"))
    assert only(check(tale.events)).rule == "twice"


def test_a_replace_that_is_counted_twice_leaves_a_version_that_nobody_made() -> None:
    tale = made(Tale()).write("y", "replace", 200, doc(2, "y"))
    assert only(check(tale.final(doc(3, "y")).events)).rule == "gap"


def test_a_refused_change_must_not_show() -> None:
    for status, problem in ((400, None), (404, None), (412, None), (422, None), (409, "superseded")):
        tale = made(Tale()).write("m", "merge", status, problem=problem)
        found = only(check(tale.final(doc(2, "x", "m")).events))
        assert found.rule == "refused"


def test_a_change_whose_job_failed_must_not_show() -> None:
    tale = made(Tale()).hold("m", "merge").job("m", "failed", status=412).final(doc(2, "x", "m"))
    assert only(check(tale.events)).rule == "refused"


def test_an_answer_that_says_that_nothing_has_happened_is_true() -> None:
    for problem, kept in (("unavailable", False), ("outcome-unknown", True)):
        tale = made(Tale()).write("m", "merge", 503, problem=problem, retry_after=1.0)
        assert rules(tale.final(doc(2, "x", "m"))) == ([] if kept else ["half-done"])


def test_two_operations_cannot_have_made_one_version() -> None:
    tale = made(Tale())
    tale.write("a", "merge", 200, version=2).write("b", "merge", 200, version=2)
    assert only(check(tale.events)).rule == "claim"


def test_a_version_that_nobody_can_have_made_is_a_gap() -> None:
    tale = made(Tale()).write("y", "replace", 200, doc(3, "y"))
    assert only(check(tale.final(doc(3, "y")).events)).rule == "gap"


def test_one_unsure_operation_fills_one_gap_only() -> None:
    tale = made(Tale())
    tale.lose(tale.send("m", "merge"))
    tale.write("y", "replace", 200, doc(4, "y"))
    assert only(check(tale.final(doc(4, "y")).events)).rule == "gap"


def test_an_operation_fills_no_gap_before_what_was_acknowledged_before_it_was_sent() -> None:
    tale = made(Tale()).write("y", "replace", 200, doc(3, "y"))
    tale.lose(tale.send("d", "delete"))
    assert only(check(tale.final(doc(3, "y")).events)).rule == "gap"


def test_a_later_write_that_took_effect_first_is_out_of_order() -> None:
    tale = made(Tale()).hold("a", "replace").write("b", "replace", 200, doc(2, "b"))
    tale.job("a", "succeeded", doc(3, "a"), status=200).final(doc(3, "a"))
    found = only(check(tale.events))
    assert found.rule == "order"
    assert {event.at for event in found.events} >= {2.0, 3.0, 4.0}


def test_an_unsure_write_that_took_effect_before_an_earlier_one_is_out_of_order() -> None:
    tale = made(Tale()).hold("a", "merge")
    tale.lose(tale.send("b", "merge"))
    tale.read(doc(2, "x", "b"), pending=True)
    tale.job("a", "succeeded", doc(3, "x", "a", "b"), status=200).final(doc(3, "x", "a", "b"))
    assert only(check(tale.events)).rule == "order"


def test_a_conditional_write_takes_effect_on_its_version_alone() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    tale.write("n", "replace", 200, doc(3, "n"), if_match=1)
    assert only(check(tale.events)).rule == "condition"


def test_a_conditional_write_whose_place_follows_from_the_others_is_held_to_its_version() -> None:
    tale = made(Tale())
    tale.lose(tale.send("a", "merge"))
    tale.write("c", "merge", 200, version=3)
    tale.lose(tale.send("b", "merge", if_match=1))
    found = only(check(tale.final(doc(4, "x", "a", "b", "c")).events))
    assert found.rule == "condition"
    assert "merge b" in found.text


def test_a_write_for_an_absent_record_does_not_take_effect_on_one() -> None:
    tale = made(Tale()).write("y", "replace", 201, doc(2, "y"), if_absent=True)
    assert only(check(tale.events)).rule == "condition"


def test_a_precondition_that_held_is_not_refused() -> None:
    tale = made(Tale()).write("m", "merge", 412, if_match=1, problem="precondition-failed")
    assert only(check(tale.final(doc(1, "x")).events)).rule == "unjust"


def test_a_change_that_was_not_sent_yet_is_no_reason_to_refuse() -> None:
    tale = made(Tale()).write("n", "merge", 412, if_match=1, problem="precondition-failed")
    tale.write("m", "merge", 200, doc(2, "x", "m"))
    assert only(check(tale.final(doc(2, "x", "m")).events)).rule == "unjust"


def test_a_version_that_was_a_deletion_matches_nothing() -> None:
    tale = made(Tale()).write("d", "delete", 204, version=2)
    tale.write("m", "merge", 412, if_match=2, problem="precondition-failed")
    assert check(tale.write("y", "replace", 201, doc(3, "y")).events) == []


def test_a_record_that_was_there_all_the_time_is_not_called_missing() -> None:
    tale = made(Tale()).write("m", "merge", 404, problem="not-found")
    assert only(check(tale.final(doc(1, "x")).events)).rule == "unjust"


@pytest.mark.parametrize(("kind", "status"), [("merge", 200), ("delete", 204), ("replace", 200)])
def test_what_follows_a_delete_finds_no_record(kind: str, status: int) -> None:
    tale = made(Tale()).write("d", "delete", 204).write("z", kind, status, version=3)
    assert only(check(tale.events)).rule == "transition"


def test_a_record_that_is_there_is_not_created() -> None:
    tale = made(Tale()).write("y", "replace", 201, doc(2, "y"))
    assert only(check(tale.events)).rule == "transition"


def test_one_version_is_one_document() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).read(doc(2, "x", "n"), stale=True)
    tale.send("n", "merge")
    assert "document" in rules(tale)


def test_nothing_shows_that_was_never_sent() -> None:
    assert only(check(made(Tale()).read(doc(2, "x", "who")).events)).rule == "phantom"


def test_an_operation_has_one_outcome() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    tale.write("m", "merge", 412)
    assert "outcome" in rules(tale)


def test_what_took_effect_is_not_cancelled_by_way_of_a_repeat() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).hold("m", "merge").job("m", "cancelled")
    assert rules(tale) == ["outcome"]


def test_what_nobody_acknowledged_and_a_client_cancelled_must_not_show() -> None:
    tale = made(Tale())
    tale.lose(tale.send("m", "merge"))
    tale.hold("m", "merge").job("m", "cancelled").final(doc(2, "x", "m"))
    assert rules(tale) == ["refused"]


def test_an_operation_has_one_job() -> None:
    tale = made(Tale()).hold("m", "merge").write("m", "merge", 202, job="job-other")
    tale.job("m", "succeeded", doc(2, "x", "m"), status=200)
    assert only(check(tale.events)).rule == "outcome"


def test_a_settled_job_stays_settled() -> None:
    tale = made(Tale()).hold("m", "merge").job("m", "succeeded", doc(2, "x", "m"), status=200).job("m", "running")
    assert only(check(tale.events)).rule == "backwards"


def test_attempts_do_not_become_fewer() -> None:
    tale = made(Tale()).hold("m", "merge").job("m", "retrying", attempts=2).job("m", "retrying", attempts=1)
    tale.job("m", "succeeded", doc(2, "x", "m"), status=200, attempts=2)
    assert only(check(tale.events)).rule == "backwards"


def test_a_job_that_was_running_is_not_queued_again_unless_the_ledger_lost_it() -> None:
    for emptied in (False, True):
        tale = made(Tale()).hold("m", "merge").job("m", "running")
        if emptied:
            tale.events.append(Fault(at=tale.events[-1].at, name="empty", target="ledger"))
            tale.hold("m", "merge")
        tale.job("m", "queued").job("m", "running").job("m", "retrying").job("m", "running")
        tale.job("m", "succeeded", doc(2, "x", "m"), status=200)
        assert rules(tale) == ([] if emptied else ["backwards"])


def test_a_job_that_cannot_be_polled_any_more_is_reported() -> None:
    tale = made(Tale()).hold("m", "merge").job("m", "forgotten")
    assert sorted(rules(tale)) == ["forgotten", "unsettled"]


def test_what_an_emptied_ledger_held_has_no_place_in_the_order_but_what_is_sent_again_has() -> None:
    for emptied in (False, True):
        tale = made(Tale()).hold("a", "replace")
        if emptied:
            tale.events.append(Fault(at=tale.events[-1].at, name="empty", target="ledger"))
        tale.write("b", "replace", 200, doc(2, "b")).hold("a", "replace")
        tale.job("a", "succeeded", doc(3, "a"), status=200)
        assert rules(tale) == ([] if emptied else ["order"])
        tale.write("c", "replace", 200, doc(4, "c")).final(doc(4, "c"))
    late = made(Tale()).hold("a", "replace")
    late.events.append(Fault(at=late.events[-1].at, name="empty", target="ledger"))
    late.hold("a", "replace").write("b", "replace", 200, doc(2, "b"))
    assert rules(late.job("a", "succeeded", doc(3, "a"), status=200)) == ["order"]


def test_with_the_ledger_the_keys_of_what_it_held_are_forgotten() -> None:
    for emptied in (False, True):
        tale = Tale()
        if emptied:
            tale.events.append(Fault(at=0.0, name="empty", target="ledger"))
        tale.hold("a", "create")
        if emptied:
            tale.events.append(Fault(at=tale.events[-1].at, name="empty", target="ledger", over=True))
        tale.write("b", "create", 202, job="job-a").job("a", "succeeded", doc(1, "b"), status=201)
        assert ("outcome" in rules(tale)) is not emptied
        assert (rules(tale.final(doc(1, "b"))) == []) is emptied


def test_an_emptied_ledger_takes_back_nothing_that_was_applied() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m"))
    tale.events.append(Fault(at=tale.events[-1].at, name="empty", target="ledger"))
    assert rules(tale.final(doc(1, "x"))) == ["lost"]


def test_an_accepted_write_must_settle() -> None:
    assert only(check(made(Tale()).hold("m", "merge").heal().events)).rule == "unsettled"


def test_a_repeat_that_was_accepted_must_settle_although_the_first_try_has_its_answer() -> None:
    for settled in (False, True):
        tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).hold("m", "merge")
        if settled:
            tale.job("m", "succeeded", doc(2, "x", "m"), status=200)
        assert rules(tale.heal()) == ([] if settled else ["unsettled"])


def test_an_accepted_write_must_settle_in_time_once_all_is_healed() -> None:
    tale = made(Tale()).hold("m", "merge").wait(1000).heal().wait(50)
    tale.job("m", "succeeded", doc(2, "x", "m"), status=200)
    assert check(tale.events, settle_within=60) == []
    assert only(check(tale.events, settle_within=40)).rule == "unsettled"


def test_an_operation_that_died_is_reported() -> None:
    assert only(check(made(Tale()).hold("m", "merge").job("m", "dead", attempts=5).events)).rule == "dead"


def test_an_operation_that_gave_way_is_reported_unless_that_is_allowed() -> None:
    tale = made(Tale()).hold("m", "merge").job("m", "failed", status=409, problem="superseded")
    assert only(check(tale.events)).rule == "superseded"
    assert check(tale.events, allow=["superseded"]) == []


def test_a_read_does_not_go_back_unless_it_says_that_it_is_stale() -> None:
    for stale in (False, True):
        tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).read(doc(1, "x"), stale=stale)
        assert rules(tale) == ([] if stale else ["stale"])


def test_the_cache_does_not_go_back_unless_it_was_broken() -> None:
    for target in ("cache", "postgres"):
        tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).read(doc(2, "x", "m"), stale=True)
        tale.events.append(Fault(at=10.0, name="kill", target=target))
        tale.wait(10).read(doc(1, "x"), stale=True)
        assert rules(tale) == ([] if target == "cache" else ["cache"])


def test_a_cached_read_that_was_on_its_way_when_the_cache_broke_may_be_of_either_side() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).read(doc(2, "x", "m"), stale=True)
    request = tale.send(None, "read")
    tale.events.append(Fault(at=tale.events[-1].at, name="kill", target="cache"))
    assert rules(tale.answer(request, 200, seen=doc(1, "x"), stale=True)) == []


def test_an_absence_is_older_than_a_record_that_nobody_deleted() -> None:
    assert only(check(made(Tale()).read(None).events)).rule == "stale"


def test_a_delete_that_was_not_sent_yet_is_no_reason_for_an_absence() -> None:
    tale = made(Tale()).read(None)
    tale.lose(tale.send("d", "delete"))
    assert only(check(tale.final(None).events)).rule == "stale"


def test_a_read_shows_what_was_accepted_or_says_that_it_is_pending_or_that_it_cannot_know() -> None:
    for said in ({}, {"pending": True}, {"unknown": True}):
        tale = made(Tale()).hold("m", "merge").read(doc(1, "x"), **said)
        tale.job("m", "succeeded", doc(2, "x", "m"), status=200)
        assert rules(tale) == ([] if said else ["hidden"])


def test_a_read_that_cannot_know_what_is_held_is_as_new_as_what_was_applied() -> None:
    tale = made(Tale()).write("m", "merge", 200, doc(2, "x", "m")).read(doc(1, "x"), unknown=True)
    assert rules(tale) == ["stale"]


def test_no_answer_is_500_and_a_503_says_when_to_come_back() -> None:
    assert rules(made(Tale()).write("m", "merge", 500)) == ["bug"]
    assert rules(made(Tale()).write("m", "merge", 503)) == ["contract"]


def test_a_violation_shows_the_events_that_prove_it_and_no_others() -> None:
    tale = made(Tale())
    for number in range(2, 50):
        tale.read(doc(1, "x")) if number % 2 else tale.write(f"no{number}", "merge", 412)
    tale.write("a", "merge", 200, version=2).write("b", "merge", 200, version=2)
    assert len(only(check(tale.events)).events) == 4


def test_every_rule_has_a_history_here_that_breaks_it() -> None:
    source = Path(__file__).read_text()
    assert [rule for rule in RULES if f'"{rule}"' not in source] == []
