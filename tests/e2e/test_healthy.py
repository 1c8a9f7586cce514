"""All is well: what the API does with records."""

from __future__ import annotations

import pytest

from tests.support.http import Client, problem

pytestmark = pytest.mark.every_store


def test_a_record_is_made_under_an_id_of_ours_and_read_back(api: Client) -> None:
    made = api.create({"text": "hello", "größe": [1, 2.5, None, True, {"ß": "☂"}]})
    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    record = made.json()
    assert record["version"] == 1
    assert record["data"] == {"text": "hello", "größe": [1, 2.5, None, True, {"ß": "☂"}]}
    assert record["created_at"] == record["updated_at"]
    read = api.http.get(made.headers["location"])
    assert read.status_code == 200
    assert read.json() == record
    assert read.headers["etag"] == '"1"'
    assert not {"age", "cache-status", "holdfast-pending"} & set(read.headers)


def test_a_record_is_put_replaced_merged_and_deleted_with_a_version_each(api: Client) -> None:
    made = api.replace("one", {"a": 1, "b": {"c": 2, "d": 3}})
    assert (made.status_code, made.headers["location"]) == (201, f"{api.path}/one")
    replaced = api.replace("one", {"b": {"c": 2, "d": 3}})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    merged = api.merge("one", {"b": {"c": None, "e": 4}})
    assert (merged.status_code, merged.json()["version"]) == (200, 3)
    assert merged.json()["data"] == api.get("one").json()["data"] == {"b": {"d": 3, "e": 4}}
    deleted = api.delete("one")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert problem(api.get("one")) == "/problems/not-found"
    assert api.replace("one", {}).json()["version"] == 5, "a delete takes a version too"


def test_pages_lead_through_all_records_in_order_of_their_ids(api: Client) -> None:
    for number in range(7):
        api.replace(f"n{number}", {"n": number})
    first = api.http.get(api.path, params={"limit": 3})
    assert [item["id"] for item in first.json()["items"]] == ["n0", "n1", "n2"]
    second = api.http.get(first.links["next"]["url"])
    assert [item["id"] for item in second.json()["items"]] == ["n3", "n4", "n5"]
    last = api.http.get(api.path, params={"limit": 3, "cursor": second.json()["next_cursor"]})
    assert [item["id"] for item in last.json()["items"]] == ["n6"]
    assert last.json()["next_cursor"] is None
    assert "link" not in last.headers


def test_a_deleted_record_is_on_no_page(api: Client) -> None:
    for id_ in ("a", "b"):
        api.replace(id_, {})
    api.delete("a")
    assert [record["id"] for record in api.records()] == ["b"]


def test_a_write_with_if_match_takes_effect_on_that_version_only(api: Client) -> None:
    api.replace("one", {"n": 1})
    assert api.replace("one", {"n": 2}, if_match='"1"').status_code == 200
    for refused in (
        api.replace("one", {"n": 3}, if_match='"1"'),
        api.merge("one", {"n": 3}, if_match='"1", "7"'),
        api.delete("one", if_match='"1"'),
        api.replace("absent", {"n": 3}, if_match="*"),
    ):
        assert (refused.status_code, problem(refused)) == (412, "/problems/precondition-failed")
    assert api.get("one").json()["data"] == {"n": 2}
    assert api.delete("one", if_match='"2"').status_code == 204


def test_a_write_with_if_none_match_makes_but_does_not_replace(api: Client) -> None:
    assert api.replace("one", {"n": 1}, if_none_match="*").status_code == 201
    assert problem(api.replace("one", {"n": 2}, if_none_match="*")) == "/problems/precondition-failed"
    assert api.get("one").json()["data"] == {"n": 1}


def test_a_read_of_what_the_client_has_already_brings_no_body(api: Client) -> None:
    api.replace("one", {"n": 1})
    known = api.get("one", if_none_match='"1"')
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"1"')
    assert api.get("one", if_none_match='"2"').status_code == 200
    assert api.get("one", if_match='"2"').status_code == 412


def test_head_is_answered_as_get_without_the_body(api: Client) -> None:
    api.replace("one", {"n": 1})
    for target in (f"{api.path}/one", api.path, "/health", "/readyz"):
        got, head = api.http.get(target), api.http.head(target)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
    assert api.http.head(f"{api.path}/one").headers["etag"] == '"1"'
    assert api.http.head(f"{api.path}/absent").status_code == 404


@pytest.mark.parametrize("target", ["/", "/v2/records/things/1", "/v1/records", "/v1/recordings/1", "/nothing"])
def test_a_path_with_nothing_behind_it_is_a_problem(api: Client, target: str) -> None:
    answer = api.http.get(target)
    assert (answer.status_code, problem(answer)) == (404, "/problems/unknown-path")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/v1/records/things/one", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("DELETE", "/v1/records/things", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/v1/jobs", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_know_is_a_problem_that_names_those_it_knows(
    api: Client, method: str, target: str, allowed: str
) -> None:
    answer = api.http.request(method, target)
    assert (answer.status_code, problem(answer)) == (405, "/problems/method-not-allowed")
    assert answer.headers["allow"] == allowed


def test_the_type_of_a_problem_leads_to_a_page_about_it(api: Client) -> None:
    page = api.http.get(problem(api.get("absent")))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/markdown")
    assert page.text.startswith("# ")


def test_it_is_alive_ready_and_well(api: Client) -> None:
    assert api.http.get("/livez").status_code == 200
    assert api.http.get("/readyz").status_code == 200
    health = api.http.get("/health").json()
    assert health["status"] == "pass"
    shown = {name: (check[0]["status"], check[0]["breaker"]) for name, check in health["checks"].items()}
    names = ("store", "ledger", "cache", "broker")
    assert shown == {f"{name}:responseTime": ("pass", "closed") for name in names}
    assert "holdfast_" in api.http.get("/metrics").text
