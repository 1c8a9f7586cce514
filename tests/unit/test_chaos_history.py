"""A history is written down whole, and read back as it was."""

from __future__ import annotations

from pathlib import Path

from chaos.history import Answer, Event, Fault, Final, Healed, History, Invoke, JobSeen, Lost, Sample, Seen, load

SEEN = Seen("notes/a", 3, "t1", ("t2", "t3"))


def test_every_event_comes_back_as_it_was(tmp_path: Path) -> None:
    events: list[Event] = [
        Invoke(at=0.0, request=0, client="c", kind="merge", resource="notes/a", tag="t2", key=True, if_match=2),
        Answer(at=1.5, request=0, status=200, resource="notes/a", version=3, seen=SEEN, retry_after=0.0),
        Lost(at=2.0, request=1, error="TimeoutError", sent=False),
        JobSeen(at=3.0, job="j", state="failed", status=412, problem="precondition-failed"),
        Fault(at=4.0, name="kill", target="postgres"),
        Fault(at=5.0, name="kill", target="postgres", over=True),
        Sample(at=5.5, breakers={"store": "open"}, waiting=0),
        Healed(at=6.0),
        Final(at=7.0, resource="notes/b"),
    ]
    with History(tmp_path / "history.jsonl") as history:
        for event in events:
            history.add(event)
    assert list(load(tmp_path / "history.jsonl")) == history.events == events


def test_a_record_tells_what_it_holds() -> None:
    record = {
        "collection": "notes",
        "id": "a",
        "version": 3,
        "data": {"t3": True, "tag": "t1", "text": "x", "t2": True},
    }
    assert Seen.read(record) == SEEN


def test_a_record_without_a_tag_shows_a_change_that_nobody_has_sent() -> None:
    assert Seen.read({"collection": "notes", "id": "a", "version": 1, "data": {}}).base == "no tag"
