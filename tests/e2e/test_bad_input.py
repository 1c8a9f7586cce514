"""Bad input: a clear 4xx each, never a 5xx, never a 202, and the next request is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.support.http import Client, problem, raw

JSON = {"content-type": "application/json"}
INVALID = (400, "/problems/invalid-request")


@pytest.fixture(autouse=True)
def unimpressed(api: Client) -> Iterator[None]:
    """Whatever a test sends, it leaves no record and no job, and the next write succeeds."""
    yield
    assert list(api.records()) == []
    assert api.backlog() == 0
    assert api.replace("next", {}).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", "#"),
        (b"{", "#"),
        (b'{"a":1}}', "#"),
        (b"{'a':1}", "#"),
        (b'{"a":NaN}', "#"),
        (b'{"a":1,}', "#"),
        (b"[1]", "#"),
        (b'"text"', "#"),
        (b"null", "#"),
        (b'{"a":"\xff"}', "#"),
        ('{"a":1}'.encode("utf-16"), "#"),
        (b'{"a":"\x00"}', "#"),
        (rb'{"a":["x","\u0000"]}', "#/a/1"),
        (rb'{"\u0000":1}', "#/\x00"),
        (rb'{"a":"\ud800"}', "#"),
        (b'{"a":1e400}', "#/a"),
        (b'{"a":-1e400}', "#/a"),
        (b'{"a":' + b"9" * 400 + b"}", "#/a"),
        (b'{"a":18446744073709551616}', "#/a"),
        (b'{"a":1,"a":2}', "#/a"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "#" + "/a" * 32),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "#"),
        (b"[" * 500_000, "#"),
    ],
    ids=str,
)
def test_a_body_that_no_store_would_keep_is_refused_by_its_place(api: Client, body: bytes, pointer: str) -> None:
    for method, target in (("POST", api.path), ("PUT", f"{api.path}/one"), ("PATCH", f"{api.path}/one")):
        answer = api.http.request(method, target, content=body, headers=JSON)
        assert (answer.status_code, problem(answer)) == INVALID
        assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "in pieces"])
def test_ten_megabytes_are_too_much(api: Client, in_pieces: bool) -> None:
    piece = b" " * 100_000
    for method, target in (("POST", api.path), ("PUT", f"{api.path}/one"), ("PATCH", f"{api.path}/one")):
        content = iter([piece] * 100) if in_pieces else piece * 100
        answer = api.http.request(method, target, content=content, headers=JSON)
        assert (answer.status_code, problem(answer)) == (413, "/problems/content-too-large")


@pytest.mark.parametrize(
    "id_",
    ["a%2Fb", "a/b", "a%20b", "%20", "%00", "%0A", "x" * 256, "x" * 1000, "%FF%FE", "e%CC%81", "%2E", "%2E%2E", ""],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_id_that_would_make_trouble_is_refused(api: Client, method: str, id_: str) -> None:
    answer = api.http.request(method, f"{api.path}/{id_}", content=b"{}", headers=JSON)
    assert (answer.status_code, problem(answer)) == INVALID
    assert answer.json()["errors"][0]["path"] == "id"


@pytest.mark.parametrize("id_", ["größe", "日本語", "☂", "x" * 255, "語" * 255, "a.b", "a:b@c", "%", "'", '"', "<b>"])
def test_any_other_id_is_kept_as_it_is(api: Client, id_: str) -> None:
    made = api.replace(quote(id_, safe=""), {"n": 1})
    assert (made.status_code, made.json()["id"]) == (201, id_)
    read = api.http.get(made.headers["location"])
    assert (read.status_code, read.json()) == (200, made.json())
    assert [record["id"] for record in api.records()] == [id_]
    assert api.http.delete(made.headers["location"]).status_code == 204


@pytest.mark.parametrize("collection", ["Orders", "a%2Fb", "a%20b", "x" * 65, "größe", "%00", "-a"])
def test_a_collection_that_would_make_trouble_is_refused(api: Client, collection: str) -> None:
    for method, target in (("GET", collection), ("POST", collection), ("PUT", f"{collection}/one")):
        answer = api.http.request(method, f"/v1/records/{target}", content=b"{}", headers=JSON)
        assert (answer.status_code, problem(answer)) == INVALID
        assert answer.json()["errors"][0]["path"] == "collection"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json-patch+json"},
        JSON | {"content-encoding": "gzip"},
    ],
    ids=str,
)
def test_a_body_of_a_type_that_is_not_taken_is_refused(api: Client, headers: dict[str, str]) -> None:
    for method, target in (("POST", api.path), ("PUT", f"{api.path}/one"), ("PATCH", f"{api.path}/one")):
        answer = api.http.request(method, target, content=b"{}", headers=headers)
        assert (answer.status_code, problem(answer)) == (415, "/problems/unsupported-media-type")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("If-Match", b"3"),
        ("If-Match", b""),
        ("If-None-Match", b'"3'),
        ("If-None-Match", b'"3" "4"'),
        ("Prefer", b"wait=soon"),
        ("Prefer", b"wait=-1"),
        ("Prefer", b'wait="'),
        ("Idempotency-Key", b""),
        ("Idempotency-Key", b'""'),
        ("Idempotency-Key", b'"open'),
        ("Idempotency-Key", b"two words"),
        ("Idempotency-Key", b'"a", "b"'),
        ("Idempotency-Key", b"x" * 256),
        ("Idempotency-Key", "ключ".encode()),
    ],
)
def test_a_header_field_that_makes_no_sense_is_refused_by_name(api: Client, name: str, value: bytes) -> None:
    answer = api.http.put(f"{api.path}/one", content=b"{}", headers=[*_raw(JSON), (name.encode(), value)])
    assert (answer.status_code, problem(answer)) == INVALID
    assert answer.json()["errors"][0]["header"] == name


def test_a_header_field_that_nobody_knows_is_left_alone(api: Client) -> None:
    unknown = [(b"x-strange", "größe".encode()), (b"prefer", b"handling=lenient"), (b"if-unheard-of", b'"1"')]
    answer = api.http.put(f"{api.path}/one", content=b"{}", headers=[*_raw(JSON), *unknown])
    assert answer.status_code == 201
    assert api.delete("one").status_code == 204


@pytest.mark.parametrize(
    ("method", "target", "parameter"),
    [
        ("GET", "/v1/records/{}?limit=0", "limit"),
        ("GET", "/v1/records/{}?limit=many", "limit"),
        ("GET", "/v1/records/{}?limit=99999999999999999999", "limit"),
        ("GET", "/v1/records/{}?cursor=%00", "cursor"),
        ("GET", "/v1/records/{}?limits=1", "limits"),
        ("GET", "/v1/records/{}/one?pending=maybe", "pending"),
        ("POST", "/v1/records/{}?limit=1", "limit"),
        ("GET", "/v1/jobs?state=happy", "state"),
        ("GET", "/v1/jobs?limit=-1", "limit"),
        ("GET", "/v1/jobs?cursor=nonsense", "cursor"),
        ("GET", "/v1/jobs/01939e7a-0000-7000-8000-000000000000?wait=61", "wait"),
        ("GET", "/v1/jobs/01939e7a-0000-7000-8000-000000000000?wait=nan", "wait"),
        ("GET", "/health?verbose=1", "verbose"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_by_name(
    api: Client, method: str, target: str, parameter: str
) -> None:
    path = target.format(api.path.rpartition("/")[2])
    answer = api.http.request(method, path, content=b"{}", headers=JSON)
    assert (answer.status_code, problem(answer)) == INVALID
    assert answer.json()["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /v1/records/{}/a b HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"GET /v1/records/{}/\x00 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"GET /v1/records/{}/\xff HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"GET /v1/records/{}/one HTTP/1.1\r\nhost x\r\n\r\n", 400),
        (b"GET /v1/records/{}/one HTTP/1.1\r\nhost: x\r\nif-match: \x00\r\n\r\n", 400),
        (b"POST /v1/records/{} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /v1/records/{} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /v1/records/{}/" + b"x" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else "",
)
def test_what_is_no_request_of_http_is_refused(api: Client, request_: bytes, status: int) -> None:
    collection = api.path.rpartition("/")[2].encode()
    found, body = raw(api.url, request_.replace(b"{}", collection))
    assert (found, json.loads(body)["status"]) == (status, status)


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
