"""What paths and query strings name, and which are refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import HttpProblem
from api.records.target import cursor_after, read_cursor, read_limit, read_path, read_query, record_path


def refusal(path: str | bytes) -> HttpProblem:
    with pytest.raises(HttpProblem) as refused:
        read_path(path.encode() if isinstance(path, str) else path, longest=255)
    return refused.value


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/records/orders", ("orders", None)),
        ("/v1/records/orders/1", ("orders", "1")),
        ("/v1/records/a-b_9/x.y~z-_", ("a-b_9", "x.y~z-_")),
        ("/v1/records/%6frders/%31", ("orders", "1")),
        ("/v1/records/orders/a%3Fb%23c%25", ("orders", "a?b#c%")),
        ("/v1/records/orders/a:b@c+d", ("orders", "a:b@c+d")),
        ("/v1/records/orders/%C3%A9", ("orders", "é")),
        ("/v1/records/orders/" + "x" * 255, ("orders", "x" * 255)),
        ("/v1/records/orders/" + "%F0%9F%8D%B5" * 255, ("orders", "🍵" * 255)),
    ],
)
def test_a_path_names_a_collection_and_a_record(path: str, named: tuple[str, str | None]) -> None:
    assert read_path(path.encode(), longest=255) == named


@pytest.mark.parametrize(
    "id_",
    [
        "",
        "a/b",
        "a%2Fb",
        "a%20b",
        "%00",
        "a%0Ab",
        "%7F",
        "%C2%85",
        "%C2%A0",
        "%E2%80%AE",
        "%EF%BB%BF",
        ".",
        "..",
        "%2E%2e",
        "x" * 256,
        "x" * 1000,
        "%C3%A9" * 256,
        "e%CC%81",
        "%C3",
        "%ED%A0%80",
        "%",
        "%2",
        "%zz",
    ],
)
def test_an_id_that_would_only_make_trouble_is_refused_by_name(id_: str) -> None:
    problem = refusal(f"/v1/records/orders/{id_}")
    assert problem.kind.status == 400
    assert [error["path"] for error in problem.errors] == ["id"]


@pytest.mark.parametrize("collection", ["", "Orders", "_x", "-x", "a b", "a.b", "x" * 65, "%C3%A9", "%2E%2E", "a%2Fb"])
def test_a_collection_is_a_short_lower_case_name(collection: str) -> None:
    problem = refusal(f"/v1/records/{collection}/1")
    assert problem.kind.status == 400
    assert [error["path"] for error in problem.errors] == ["collection"]


def named_or_refused(id_: str) -> str | int | None:
    """The id that is read from the path of `id_`, or the status of the refusal."""
    try:
        return read_path(b"/v1/records/orders/" + quote(id_, safe="").encode(), longest=255)[1]
    except HttpProblem as refused:
        return refused.kind.status


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_a_records_path_leads_back_to_it_or_is_refused(id_: str) -> None:
    named = named_or_refused(id_)
    assert named in (id_, 400)
    if named == id_:
        assert read_path(record_path("orders", id_).encode(), longest=255) == ("orders", id_)


def test_a_query_is_read_by_name() -> None:
    assert read_query(b"", ()) == {}
    assert read_query(b"limit=5&cursor=a%3Db", {"limit", "cursor"}) == {"limit": "5", "cursor": "a=b"}


@pytest.mark.parametrize(
    ("query", "name"), [(b"limt=5", "limt"), (b"limit=1&limit=2", "limit"), (b"limit=%ff", ""), (b"\xff", "")]
)
def test_a_query_that_says_nothing_known_is_refused_by_name(query: bytes, name: str) -> None:
    with pytest.raises(HttpProblem) as refused:
        read_query(query, {"limit"})
    assert refused.value.errors[0]["parameter"] == name


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "x", "1001", "9" * 50, "١"])
def test_a_limit_beyond_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(HttpProblem):
        read_limit(text, default=100, most=1000)


def test_a_limit_is_a_number_or_the_default() -> None:
    assert [read_limit(text, default=100, most=1000) for text in (None, "1", "1000")] == [100, 1, 1000]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_cursor_is_safe_in_a_url_and_leads_back(id_: str) -> None:
    cursor = cursor_after(id_)
    assert quote(cursor, safe="") == cursor
    assert read_cursor(cursor) == id_


@pytest.mark.parametrize("cursor", ["", "x", "a=b", "====", "_w", "AA", "YQ==", "Y Q", "é"])
def test_a_cursor_that_was_never_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(HttpProblem):
        read_cursor(cursor)
