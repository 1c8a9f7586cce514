"""Behaviour of listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.events import Event, emit, fan_out

if TYPE_CHECKING:
    import pytest


def broken(event: Event) -> None:
    raise RuntimeError(f"no ear for {event.name}")


def test_a_failing_listener_is_reported_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    emit(broken, Event("breaker.state_changed", "store"))
    assert "breaker.state_changed" in caplog.text
    assert "no ear for" in caplog.text


def test_one_failing_listener_does_not_keep_an_event_from_the_others() -> None:
    heard = list[Event]()
    event = Event("retry.scheduled", "store", {"attempt": 1})
    fan_out(broken, heard.append)(event)
    assert heard == [event]


def test_without_a_listener_nothing_happens() -> None:
    emit(None, Event("retry.scheduled", "store"))
