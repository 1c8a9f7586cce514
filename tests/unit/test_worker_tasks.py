"""What a doorbell may bring, whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from adapters.celery_app import TASK, BrokerOptions, make_app
from holdfast.operations.model import Resource
from worker.tasks import register, resources_of


def replayed(*arguments: Any, **named: Any) -> list[Resource]:
    """What the task replays when it is called so."""
    seen: list[Resource] = []
    app: Celery = make_app(BrokerOptions("redis://localhost:1/0"))
    register(app, lambda resources: seen.extend(resources) or len(resources))
    app.tasks[TASK](*arguments, **named)
    return seen


def test_keys_become_resources_in_their_order() -> None:
    assert replayed(["notes/b", "notes/a", "files/x/y"]) == [
        Resource("notes", "b"),
        Resource("notes", "a"),
        Resource("files", "x/y"),
    ]


@pytest.mark.parametrize("wrong", [None, 7, "notes/a", {"notes/a": 1}, [["notes/a"]], ["notes"], ["/a"], ["notes/"]])
def test_what_is_not_a_list_of_keys_is_logged_and_dropped(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert list(resources_of(wrong)) == []
    assert "doorbell" in caplog.text


def test_a_bad_key_does_not_spoil_the_good_ones() -> None:
    assert replayed([None, "notes/a", 3, "notes"]) == [Resource("notes", "a")]


@pytest.mark.parametrize(("arguments", "named"), [((), {}), ((["notes/a"], "more"), {"later": 1})])
def test_a_message_of_another_shape_is_no_error(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    replayed(*arguments, **named)


def test_a_doorbell_without_keys_still_leads_to_a_replay_of_what_is_due() -> None:
    calls: list[list[Resource]] = []
    app = make_app(BrokerOptions("redis://localhost:1/0"))
    register(app, lambda resources: calls.append(list(resources)) or 0)
    app.tasks[TASK]([])
    assert calls == [[]]
