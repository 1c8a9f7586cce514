"""Which bodies are taken, and where a refused one is at fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import HttpProblem
from api.records.body import Disconnected, parse, read_body

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_OBJECTS = st.dictionaries(
    _NAMES,
    st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner), max_leaves=20),
)


def places(body: bytes, *, depth: int = 32) -> list[str]:
    """The JSON pointers that the refusal names."""
    with pytest.raises(HttpProblem) as refused:
        parse(body, depth=depth)
    assert refused.value.kind.status == 400
    json.dumps([dict(error) for error in refused.value.errors]).encode()
    return [error["pointer"] for error in refused.value.errors]


@given(_OBJECTS, st.booleans())
def test_every_object_within_the_limits_is_taken_as_it_stands(data: dict[str, Any], escaped: bool) -> None:
    parsed, canonical = parse(json.dumps(data, ensure_ascii=escaped).encode(), depth=200)
    assert parsed == data
    assert json.loads(canonical) == data


@given(_OBJECTS)
def test_one_object_has_one_canonical_form_however_it_is_written(data: dict[str, Any]) -> None:
    shuffled = dict(reversed(data.items()))
    _, one = parse(json.dumps(data, indent=3, ensure_ascii=True).encode(), depth=200)
    _, other = parse(json.dumps(shuffled, ensure_ascii=False).encode(), depth=200)
    assert one == other


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":}', b"{'a':1}", b'{"a":1}x', b'{"a":NaN}', b'{"a":-Infinity}'])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert places(body) == ["#"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b"true"])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    assert places(body) == ["#"]


@pytest.mark.parametrize(
    "body", [b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'\xef\xbb\xbf{"a":1}', '{"a":1}'.encode("utf-16")]
)
def test_what_is_not_utf8_is_refused(body: bytes) -> None:
    assert places(body) == ["#"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (rb'{"a":{"b":["x","\u0000"]}}', "#/a/b/1"),
        (rb'{"a\u0000b":1}', "#/a\0b"),
        (rb'{"a~b":{"c/d":"\u0000"}}', "#/a~0b/c~1d"),
        (rb'{"a":1e400}', "#/a"),
        (rb'{"a":[0,-1e999]}', "#/a/1"),
        (rb'{"a":9223372036854775808}', "#/a"),
        (rb'{"a":-9223372036854775809}', "#/a"),
        (b'{"a":' + b"9" * 5000 + b"}", "#/a"),
        (rb'{"a":1,"b":2,"a":3}', "#/a"),
        (rb'{"a":{"x":1,"x":1}}', "#/a/x"),
        (rb'{"a":1,"\u0061":2}', "#/a"),
        (rb'{"a":":","b":1,"\u0062":2,"c":"\u003a"}', "#/b"),
        (rb'{"a":1e400,"b":"\ud800"}', "#/a"),
    ],
)
def test_what_a_store_would_not_keep_is_refused_by_its_place(body: bytes, place: str) -> None:
    assert places(body)[0] == place


def test_several_faults_are_named_together() -> None:
    assert places(rb'{"a":"\u0000","b":{"c":1e400},"d":1}') == ["#/a", "#/b/c"]
    assert len(places(b'{"a":[' + b",".join([rb'"\u0000"'] * 1000) + b"]}")) == 10


def test_half_a_surrogate_pair_is_refused() -> None:
    assert places(rb'{"a":"\ud800"}') == ["#"]
    assert places(rb'{"a":"\udc00\ud800"}') == ["#"]


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a":"\\u0000"}',
        rb'{"a":"\u0000x"}'.replace(rb"\u0000", rb"\u0001"),
        rb'{"a":9223372036854775807,"b":-9223372036854775808}',
        rb'{"a":"12345678901234567890123"}',
        rb'{"a":0.1000000000000000055511151231257827}',
        rb'{"a":"x:y","b:c":{"d":":::"}}',
        rb'{"a":"\u003a"}',
        b'{"a":1e-400}',
    ],
)
def test_what_only_looks_suspicious_is_taken(body: bytes) -> None:
    assert parse(body, depth=32)[0] == json.loads(body)


def test_depth_counts_objects_and_lists_and_only_depth_counts() -> None:
    wide = b'{"a":[' + b",".join([b"{}"] * 500) + b"]}"
    assert len(parse(wide, depth=3)[0]["a"]) == 500
    parse(b'{"a":{"b":[1]}}', depth=3)
    assert places(b'{"a":{"b":[[1]]}}', depth=3) == ["#/a/b/0"]
    assert places(b'{"a":' * 100_000, depth=3) == ["#"]


async def _read(*messages: dict[str, Any], limit: int, length: bytes | None = None) -> bytes:
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(coming)

    headers = {} if length is None else {b"content-length": length}
    return await read_body(headers, receive, limit=limit)


def _part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_that_comes_in_parts_is_read_whole() -> None:
    assert await _read(_part(b"ab", more=True), _part(b"", more=True), _part(b"c"), limit=3) == b"abc"


async def test_a_body_over_the_limit_is_refused_before_it_is_read_to_its_end() -> None:
    endless = [_part(b"x" * 10, more=True)] * 3
    with pytest.raises(HttpProblem) as refused:
        await _read(*endless, limit=15)
    assert refused.value.kind.status == 413


@pytest.mark.parametrize("length", [b"16", b"1" * 30])
async def test_a_length_over_the_limit_is_refused_before_anything_is_read(length: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        await _read(limit=15, length=length)
    assert refused.value.kind.status == 413


async def test_a_client_that_leaves_halfway_has_sent_nothing() -> None:
    with pytest.raises(Disconnected):
        await _read(_part(b"ab", more=True), {"type": "http.disconnect"}, limit=15)
