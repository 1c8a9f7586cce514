"""Requests that are repeated: one Idempotency-Key, one effect, one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from cli.stack.handle import Stack
from tests.support.api_process import running
from tests.support.http import Client, at_once, problem

pytestmark = pytest.mark.every_store


@pytest.fixture
def other(stack: Stack, api: Client) -> Iterator[Client]:
    """The same collection through a second API process."""
    store = stack.store()
    servers = {f"HOLDFAST_{name.upper()}_URL": stack.url(name) for name in (store, "ledger", "cache", "broker")}
    with (
        running(HOLDFAST_STORE=store, **servers) as process,
        Client(process.url, api.path.rpartition("/")[2]) as client,
    ):
        yield client


def test_a_repeated_create_has_one_effect_and_the_same_answer(api: Client) -> None:
    first = api.create({"n": 1}, idempotency_key=f'"{api.path} 1"')
    again = api.create({"n": 1}, idempotency_key=f'"{api.path} 1"')
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(list(api.records())) == 1


def test_a_repeat_is_answered_as_the_first_one_was_whatever_came_in_between(api: Client) -> None:
    first = api.replace("one", {"n": 1}, idempotency_key=f"{api.path}-1")
    api.replace("one", {"n": 2})
    again = api.replace("one", {"n": 1}, idempotency_key=f"{api.path}-1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert api.get("one").json()["data"] == {"n": 2}
    deleted = api.delete("one", idempotency_key=f"{api.path}-2")
    assert api.delete("one", idempotency_key=f"{api.path}-2").status_code == deleted.status_code == 204


def test_a_refusal_is_repeated_too(api: Client) -> None:
    key = f"{api.path}-1"
    assert problem(api.merge("one", {"n": 1}, idempotency_key=key)) == "/problems/not-found"
    api.replace("one", {"n": 0})
    again = api.merge("one", {"n": 1}, idempotency_key=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (404, "true")
    assert api.get("one").json()["data"] == {"n": 0}


def test_a_key_used_for_another_request_is_refused_and_nothing_happens(api: Client) -> None:
    key = f"{api.path}-1"
    api.replace("one", {"n": 1}, idempotency_key=key)
    for other in (
        api.replace("one", {"n": 2}, idempotency_key=key),
        api.replace("two", {"n": 1}, idempotency_key=key),
        api.replace("one", {"n": 1}, idempotency_key=key, if_match='"1"'),
        api.merge("one", {"n": 1}, idempotency_key=key),
        api.delete("one", idempotency_key=key),
        api.create({"n": 1}, idempotency_key=key),
    ):
        assert (other.status_code, problem(other)) == (422, "/problems/idempotency-key-reused")
    assert [(record["id"], record["version"]) for record in api.records()] == [("one", 1)]


def test_the_order_of_names_and_spaces_make_no_other_request(api: Client) -> None:
    headers = {"content-type": "application/json", "idempotency-key": f"{api.path}-1"}
    first, again = (
        api.http.post(api.path, content=body, headers=headers) for body in (b'{"a":1,"b":2}', b'{ "b": 2, "a": 1 }')
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"


def test_twenty_duplicates_at_once_through_two_processes_have_one_effect(api: Client, other: Client) -> None:
    for trial in range(10):
        key = f"{api.path}-{trial}"
        creates = [partial(client.create, {"trial": trial}, idempotency_key=key) for client in (api, other) * 10]
        answers = at_once(creates, threads=20)
        assert {answer.status_code for answer in answers} <= {201, 409}
        made = [answer for answer in answers if answer.status_code == 201]
        assert len({answer.content for answer in made}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in made) == 1, "only one did it"
    assert Counter(record["data"]["trial"] for record in api.records()) == Counter(range(10))


def test_duplicates_during_an_outage_share_one_job_and_afterwards_its_result(
    stack: Stack, api: Client, other: Client
) -> None:
    stack.kill("store")
    key = f"{api.path}-1"
    creates = [partial(client.create, {"n": 1}, idempotency_key=key) for client in (api, other) * 10]
    held = at_once(creates, threads=20)
    assert {answer.status_code for answer in held} == {202}
    assert len({answer.headers["location"] for answer in held}) == 1
    assert problem(api.create({"n": 2}, idempotency_key=key)) == "/problems/idempotency-key-reused"
    stack.start("store")
    result = api.settled(held[0])["result"]
    again = other.create({"n": 1}, idempotency_key=key)
    assert (again.status_code, again.json()) == (result["status"], result["record"])
    assert again.headers["idempotent-replayed"] == "true"
    assert [record["data"] for record in api.records()] == [{"n": 1}]
