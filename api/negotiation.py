"""What a request's header fields ask for. A malformed one is refused by name; one that is unknown is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from holdfast.operations.model import Precondition, Versions

from .answers import Header
from .problems import MEDIA_TYPE, HttpProblem, invalid

LONGEST_WAIT = 60
LONGEST_KEY = 255

Headers = Mapping[bytes, bytes]

# Possessive throughout: a header must not buy more than one pass over itself.
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_WORD = rb"(?:" + _TOKEN + rb'|"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t -~])*+")'
_PARAMETER = _TOKEN + rb"(?:[ \t]*+=[ \t]*+" + _WORD + rb")?+"
_COMMA = rb"[ \t]*+(?:,[ \t,]*+|\Z)"
_PREFERENCE = re.compile(
    rb"[ \t,]*+(" + _PARAMETER + rb")[ \t]*+(?:;[ \t]*+(?:" + _PARAMETER + rb"[ \t]*+)?+)*+" + _COMMA
)
_ETAG = re.compile(rb'[ \t,]*+(W/)?"([\x21\x23-\x7e\x80-\xff]*+)"' + _COMMA)
_OURS = re.compile(rb"[1-9][0-9]{0,17}")
_KEY_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_KEY_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ESCAPED = re.compile(r"\\(.)")


def collect(raw: Iterable[Header]) -> dict[bytes, bytes]:
    """The fields by name; lines of one name are one list (RFC 9110, 5.3)."""
    lines = list(raw)
    fields = dict(lines)
    if len(fields) != len(lines):
        fields = {}
        for name, value in lines:
            fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def traceparent(headers: Headers) -> str | None:
    """The request's place in its trace (W3C Trace Context, 3.2); a malformed one is as good as none."""
    raw = headers.get(b"traceparent")
    return raw.decode() if raw is not None and _TRACEPARENT.fullmatch(raw) else None


def idempotency_key(headers: Headers) -> str | None:
    """The key, from an RFC 8941 string or from bare visible ASCII without `"`, `\\`, `,` and `;`."""
    raw = headers.get(b"idempotency-key")
    if raw is None:
        return None
    text = raw.decode("latin-1")
    quoted = _KEY_STRING.fullmatch(text)
    if quoted is None and not _KEY_TOKEN.fullmatch(text):
        raise _malformed("Idempotency-Key", 'one string of printable ASCII, such as "8e03978e-40d5"')
    key = text if quoted is None else _ESCAPED.sub(r"\1", quoted[1])
    if not 1 <= len(key) <= LONGEST_KEY:
        raise _malformed("Idempotency-Key", f"1 to {LONGEST_KEY} characters long")
    return key


def precondition(headers: Headers) -> Precondition | None:
    """If-Match by strong comparison, If-None-Match by weak (RFC 9110, 13.1); tags that are not ours match nothing."""
    match, none_match = headers.get(b"if-match"), headers.get(b"if-none-match")
    if match is None and none_match is None:
        return None
    return Precondition(
        _versions("If-Match", match, weak=False),
        _versions("If-None-Match", none_match, weak=True),
    )


def _versions(name: str, value: bytes | None, *, weak: bool) -> Versions:
    if value is None:
        return None
    if value.strip(b" \t") == b"*":
        return "*"
    versions = set[int]()
    for is_weak, tag in _etags(name, value):
        if (weak or not is_weak) and _OURS.fullmatch(tag):
            versions.add(int(tag))
    return tuple(sorted(versions))


def _etags(name: str, value: bytes) -> list[tuple[bool, bytes]]:
    found = _elements(_ETAG, value)
    if not found:
        raise _malformed(name, 'a list of entity tags, such as "3", or *')
    return [(tag[1] is not None, tag[2]) for tag in found]


def _elements(element: re.Pattern[bytes], value: bytes) -> list[re.Match[bytes]]:
    """The elements of a list, none if it is not one; each pattern takes the comma behind it along."""
    found = []
    position = 0
    while position < len(value):
        match = element.match(value, position)
        if match is None:
            return []
        found.append(match)
        position = match.end()
    return found


class Preferences(NamedTuple):
    """What `Prefer` asks for.

    wait:          seconds to wait for a job, at most LONGEST_WAIT.
    respond_async: hold the write at once.
    """

    wait: int | None = None
    respond_async: bool = False

    def applied(self) -> bytes:
        """The value of Preference-Applied (RFC 7240, 3)."""
        waiting = [] if self.wait is None else [b"wait=%d" % self.wait]
        return b", ".join([b"respond-async"] * self.respond_async + waiting)


def preferences(headers: Headers) -> Preferences | None:
    """What Prefer asks for, None without it; of two of a name the first counts (RFC 7240, 2)."""
    raw = headers.get(b"prefer")
    if raw is None:
        return None
    wanted: dict[bytes, bytes] = {}
    for name, value in _preferences(raw):
        wanted.setdefault(name, value)
    wait = wanted.get(b"wait")
    if wait is not None and not re.fullmatch(rb"[0-9]{1,9}", wait):
        raise _malformed("Prefer", "wait=SECONDS, a whole number")
    return Preferences(
        min(int(wait), LONGEST_WAIT) if wait is not None else None,
        b"respond-async" in wanted,
    )


def _preferences(raw: bytes) -> Iterable[tuple[bytes, bytes]]:
    found = _elements(_PREFERENCE, raw)
    if not found:
        raise _malformed("Prefer", "a list of preferences, such as respond-async, wait=10")
    for preference in found:
        name, _, value = preference[1].partition(b"=")
        yield name.strip().lower(), value.strip(b' \t"')


def require_media_type(headers: Headers, accepted: tuple[bytes, ...]) -> None:
    """Raise 415 unless the body is one of these types in UTF-8, uncompressed."""
    content_type = headers.get(b"content-type", b"")
    if content_type not in accepted:
        _require_carefully(content_type, accepted)
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise HttpProblem(MEDIA_TYPE, "Send the body uncompressed.", headers=[(b"accept-encoding", b"identity")])


def _require_carefully(content_type: bytes, accepted: tuple[bytes, ...]) -> None:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    others = [part for part in parameters if part.startswith(b"charset=")]
    if media_type in accepted and all(part in (b"charset=utf-8", b'charset="utf-8"') for part in others):
        return
    names = b" or ".join(accepted).decode()
    raise HttpProblem(MEDIA_TYPE, f"Send the body as {names}, in UTF-8.", headers=[(b"accept", b", ".join(accepted))])


def wants_event_stream(accept: bytes) -> bool:
    """Whether `text/event-stream` is asked for by name."""
    for item in accept.lower().split(b","):
        media_type, *parameters = (part.strip() for part in item.split(b";"))
        if media_type == b"text/event-stream":
            return not any(re.fullmatch(rb"q=0(\.0*)?", part) for part in parameters)
    return False


def _malformed(name: str, wanted: str) -> HttpProblem:
    return invalid(f"{name}: must be {wanted}", header=name)
