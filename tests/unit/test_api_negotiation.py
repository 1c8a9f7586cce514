"""What header fields mean, and which are refused by name."""

from __future__ import annotations

import time

import pytest

from api.negotiation import (
    Preferences,
    collect,
    idempotency_key,
    precondition,
    preferences,
    require_media_type,
    traceparent,
    wants_event_stream,
)
from api.problems import HttpProblem
from holdfast.operations.model import Precondition

JSON = (b"application/json",)


def test_lines_of_one_name_are_one_list() -> None:
    lines = [(b"if-match", b'"1"'), (b"accept", b"*/*"), (b"if-match", b'"2"')]
    assert collect(lines) == {b"if-match": b'"1", "2"', b"accept": b"*/*"}
    assert precondition(collect(lines)) == Precondition(match=(1, 2))


@pytest.mark.parametrize(
    ("field", "versions"),
    [
        (b'"3"', (3,)),
        (b'"3","1" , "3"', (1, 3)),
        (b',,"3",,', (3,)),
        (b"*", "*"),
        (b" * ", "*"),
        (b'W/"3"', ()),
        (b'"abc"', ()),
        (b'"03"', ()),
        (b'"0"', ()),
        (b'"-1"', ()),
        (b'"99999999999999999999999999"', ()),
        (b'W/"3", "4"', (4,)),
    ],
)
def test_if_match_takes_versions_by_strong_comparison(field: bytes, versions: object) -> None:
    assert precondition({b"if-match": field}) == Precondition(match=versions)  # type: ignore[arg-type]


def test_a_tag_that_matches_nothing_is_still_a_condition() -> None:
    condition = precondition({b"if-match": b'W/"3"'})
    assert condition is not None
    assert not condition.holds(3)


def test_if_none_match_compares_weakly() -> None:
    assert precondition({b"if-none-match": b'W/"3"'}) == Precondition(none_match=(3,))
    assert precondition({b"if-none-match": b"*"}) == Precondition(none_match="*")
    assert precondition({}) is None


@pytest.mark.parametrize("field", [b"", b"3", b'"3', b'"3" "4"', b'w/"3"', b"*, *", b'"3";x', b'"a b"'])
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_a_malformed_condition_is_refused_by_name(name: str, field: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        precondition({name.lower().encode(): field})
    assert refused.value.kind.status == 400
    assert refused.value.errors[0]["header"] == name


@pytest.mark.parametrize(
    ("field", "key"),
    [
        (b'"8e03978e"', "8e03978e"),
        (b"8e03978e", "8e03978e"),
        (b'"a b,c;d"', "a b,c;d"),
        (rb'"a\"b\\c"', 'a"b\\c'),
        (b"a:b/c=", "a:b/c="),
        (b"x" * 255, "x" * 255),
        (b'"' + b"x" * 255 + b'"', "x" * 255),
    ],
)
def test_a_key_is_a_string_or_bare(field: bytes, key: str) -> None:
    assert idempotency_key({b"idempotency-key": field}) == key


@pytest.mark.parametrize(
    "field",
    [
        *(b"", b'""', b'"', b'"a', b'a"', b"a b", b"a,b", b"a;b", rb"a\b", rb'"a\b"', b'"a";x=1', b'"a", "b"'),
        *("é".encode(), '"é"'.encode(), b'"a\tb"', b'"a\x7f"', b"x" * 256, b'"' + b"x" * 256 + b'"'),
    ],
)
def test_a_malformed_key_is_refused_by_name(field: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        idempotency_key({b"idempotency-key": field})
    assert refused.value.kind.status == 400
    assert refused.value.errors[0]["header"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("field", "preferred"),
    [
        (b"wait=5", Preferences(wait=5)),
        (b"respond-async", Preferences(respond_async=True)),
        (b"Respond-Async, WAIT = 5", Preferences(5, True)),
        (b'respond-async; foo="a,b;c", wait="7"', Preferences(7, True)),
        (b"wait=0", Preferences(wait=0)),
        (b"wait=3600", Preferences(wait=60)),
        (b"wait=1, wait=9", Preferences(wait=1)),
        (b"return=minimal, handling=lenient", Preferences()),
    ],
)
def test_preferences_that_are_known_count_and_others_are_left_alone(field: bytes, preferred: Preferences) -> None:
    assert preferences({b"prefer": field}) == preferred


@pytest.mark.parametrize("field", [b"", b"wait", b"wait=", b"wait=x", b"wait=-1", b"wait=1.5", b"a b", b"=", b'a="'])
def test_a_malformed_preference_is_refused_by_name(field: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        preferences({b"prefer": field})
    assert refused.value.errors[0]["header"] == "Prefer"


@pytest.mark.parametrize(
    "field",
    [b"a" + b" " * 30_000 + b"x", b"a" + b"; " * 15_000 + b"x y", b"a" + b"," * 30_000 + b"=", b'a="' + b"\\" * 30_001],
)
def test_a_field_made_to_be_slow_is_refused_quickly(field: bytes) -> None:
    began = time.process_time()
    for read, name in ((preferences, b"prefer"), (precondition, b"if-match"), (idempotency_key, b"idempotency-key")):
        with pytest.raises(HttpProblem):
            read({name: field})
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "field", [b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8";v=1']
)
def test_json_in_utf8_is_taken(field: bytes) -> None:
    require_media_type({b"content-type": field}, JSON)


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"application/jsonx",
        b"application/json;charset=latin1",
    ],
)
def test_another_type_is_refused_and_told_which_is_taken(field: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        require_media_type({b"content-type": field}, JSON)
    assert refused.value.kind.status == 415
    assert (b"accept", b"application/json") in refused.value.headers


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(HttpProblem) as refused:
        require_media_type({b"content-type": b"application/json", b"content-encoding": b"gzip"}, JSON)
    assert refused.value.kind.status == 415


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (b"text/event-stream", True),
        (b"application/json, text/event-stream;q=0.5", True),
        (b"TEXT/Event-Stream", True),
        (b"text/event-stream;q=0", False),
        (b"text/event-stream; q=0.0", False),
        (b"*/*", False),
        (b"", False),
    ],
)
def test_a_stream_is_for_who_names_it(accept: bytes, wanted: bool) -> None:
    assert wants_event_stream(accept) is wanted


PLACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("given", [PLACE, PLACE[:-2] + b"00", b"cc" + PLACE[2:]])
def test_a_place_in_a_trace_is_taken_as_it_is(given: bytes) -> None:
    assert traceparent({b"traceparent": given}) == given.decode()


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"nonsense",
        b"ff" + PLACE[2:],
        PLACE.upper(),
        PLACE + b"-more",
        PLACE.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        PLACE.replace(b"b7ad6b7169203331", b"0" * 16),
        PLACE + b", " + PLACE,
        PLACE[:-1] + b"\xff",
    ],
)
def test_a_malformed_place_in_a_trace_is_as_good_as_none(given: bytes) -> None:
    assert traceparent({b"traceparent": given}) is None
    assert traceparent({}) is None
