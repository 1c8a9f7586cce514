"""A request's body: read within its limit, and checked so that every store can keep it as it stands.

The common body passes with a few scans in C; only one that looks suspicious is walked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from ..answers import Message, Receive
from ..problems import TOO_LARGE, HttpProblem, invalid, invalid_all

_INT64 = range(-(2**63), 2**63)
_DIGITS_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_TOO_MANY_DIGITS = b"0" * 19
_MOST_NAMED = 10
_LONGEST_POINTER = 200
_LONGEST_LENGTH = 18

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


class Disconnected(Exception):
    """The client went away before its request was complete; nobody is there to answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, *, limit: int) -> bytes:
    """The whole body. Raises HttpProblem (413) as soon as it is known to be over `limit` bytes, Disconnected."""
    declared = headers.get(b"content-length", b"0")
    if len(declared) > _LONGEST_LENGTH or (declared.isdigit() and int(declared) > limit):
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        return await _read_on(body, receive, limit)
    return _complete(message, body, limit)


async def _read_on(first: bytes, receive: Receive, limit: int) -> bytes:
    body = bytearray(first)
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and len(body) <= limit
    return _complete(message, bytes(body), limit)


def _complete(message: Message, body: bytes, limit: int) -> bytes:
    if message["type"] == "http.disconnect":
        raise Disconnected
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(TOO_LARGE, f"The body may have at most {limit} bytes.")


def parse(body: bytes, *, depth: int) -> tuple[dict[str, Any], bytes]:
    """The JSON object of a body, and the same in canonical form (names sorted, no spaces).

    depth: the most levels of nesting. Raises HttpProblem (400) naming each place by its JSON pointer.
    """
    if not body:
        raise invalid("the body is empty; it must be a JSON object", pointer="#")
    data = _decoded(body, depth)
    if not isinstance(data, dict):
        raise invalid("the body must be a JSON object", pointer="#")
    canonical = _encode(data)
    if _may_repeat_a_name(body, canonical):
        _check(_as_written(body), depth)
    elif _looks_suspicious(body, depth):
        _check(data, depth)
    return data, canonical


def _decoded(body: bytes, depth: int) -> Any:
    try:
        return _decode(body)
    except msgspec.ValidationError as error:  # a number does not fit; the walk finds which
        with suppress(ValueError, RecursionError):
            _check(_as_written(body), depth)
        raise _not_json(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
    except RecursionError:
        raise invalid(f"the body is nested more than {depth} levels deep", pointer="#") from None


def _not_json(error: Exception) -> HttpProblem:
    return invalid(f"the body is not JSON in UTF-8: {error}", pointer="#")


def _may_repeat_a_name(body: bytes, canonical: bytes) -> bool:
    r"""A repeated name is dropped by the decoder, and its colon with it; only `\u003a` makes one anew."""
    return body.count(b":") != canonical.count(b":") or b"\\u003" in body


def _looks_suspicious(body: bytes, depth: int) -> bool:
    return (
        b"\\u0000" in body
        or body.count(b"{") + body.count(b"[") > depth
        or _TOO_MANY_DIGITS in body.translate(_DIGITS_TO_ZEROS)
    )


def _check(value: Any, depth: int) -> None:
    found = list(islice(_faults(value, depth), _MOST_NAMED))
    if found:
        raise invalid_all({"detail": f"{pointer}: {text}", "pointer": pointer} for pointer, text in found)


class _Members(list[tuple[str, Any]]):
    """An object's members as they are written, repeated names included."""


def _as_written(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=_Members, parse_int=_whole_number)


def _whole_number(digits: str) -> int:
    return int(digits[:25])  # what is longer is out of range all the same, and slow to read


def _faults(value: Any, room: int, pointer: str = "#") -> Iterator[tuple[str, str]]:
    """Each place that a store would not keep as it stands: its JSON pointer (RFC 6901) and why."""
    if isinstance(value, str):
        trouble = _trouble_in(value)
        if trouble:
            yield pointer, f"a string must not hold {trouble}"
    elif isinstance(value, int):
        if value not in _INT64:
            yield pointer, "a whole number must fit 64 bits; send it as a string"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield pointer, "a number must fit a double"
    elif isinstance(value, (dict, list)):
        yield from _faults_within(value, room, pointer) if room else [(pointer, "nested too deeply")]


def _faults_within(value: dict[str, Any] | list[Any], room: int, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and not isinstance(value, _Members):
        for position, item in enumerate(value):
            yield from _faults(item, room - 1, f"{pointer}/{position}")
        return
    seen = set[str]()
    for name, item in value.items() if isinstance(value, dict) else value:
        here = _below(pointer, name)
        trouble = _trouble_in(name)
        if trouble:
            yield here, f"a name must not hold {trouble}"
        if name in seen:
            yield here, "the name stands here more than once"
        seen.add(name)
        yield from _faults(item, room - 1, here)


def _trouble_in(text: str) -> str | None:
    if "\0" in text:
        return "U+0000"
    return None if _is_unicode(text) else "half of a surrogate pair"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _below(pointer: str, name: str) -> str:
    token = name.replace("~", "~0").replace("/", "~1").encode(errors="replace").decode()
    longer = f"{pointer}/{token}"
    return longer if len(longer) <= _LONGEST_POINTER else longer[:_LONGEST_POINTER] + "…"
