"""What a request's target names: a collection, a record of it, query parameters."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Collection
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from ..problems import UNKNOWN_PATH, HttpProblem, invalid

PREFIX = b"/v1/records/"

_PLAIN = re.compile(rb"/v1/records/([a-z0-9][a-z0-9_-]{0,63})(?:/([A-Za-z0-9_~-][A-Za-z0-9._~-]*))?")
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")


def read_path(raw: bytes, *, longest: int) -> tuple[str, str | None]:
    """The collection and the record's id, None for the collection itself.

    raw: the path as sent, percent-encoded. longest: characters of an id. Raises HttpProblem.
    """
    plain = _PLAIN.fullmatch(raw)
    if plain is not None:
        collection, id_ = plain.groups()
        if id_ is None or len(id_) <= longest:
            return collection.decode(), id_.decode() if id_ is not None else None
    return _read_carefully(raw, longest)


def _read_carefully(raw: bytes, longest: int) -> tuple[str, str | None]:
    if not raw.startswith(PREFIX):
        raise HttpProblem(UNKNOWN_PATH, "Records are at /v1/records/{collection} and /v1/records/{collection}/{id}.")
    before, slash, after = raw.removeprefix(PREFIX).partition(b"/")
    collection = _decoded(before, "collection")
    if not _COLLECTION.fullmatch(collection):
        raise invalid(
            "collection: 1 to 64 of a-z, 0-9, - and _, a letter or digit first",
            path="collection",
        )
    return collection, _id(after, longest) if slash else None


def _id(raw: bytes, longest: int) -> str:
    id_ = _decoded(raw, "id")
    trouble = _trouble(id_, longest)
    if trouble:
        raise invalid(f"id: {trouble}", path="id")
    return id_


def _trouble(id_: str, longest: int) -> str | None:
    if not 1 <= len(id_) <= longest:
        return f"must have 1 to {longest} characters, has {len(id_)}"
    if "/" in id_ or " " in id_ or not id_.isprintable():
        return "must hold no slash, no space and no character that cannot be seen"
    if id_ in (".", ".."):
        return "must not be . or .., which clients and proxies take out of paths"
    if not unicodedata.is_normalized("NFC", id_):
        return "must be in Unicode Normalization Form C, so that what looks the same is the same"
    return None


def _decoded(raw: bytes, name: str) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise invalid(f"{name}: a % must be followed by two hex digits", path=name)
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise invalid(f"{name}: its percent-encoded bytes must be UTF-8", path=name) from None


def record_path(collection: str, id_: str) -> str:
    quoted = id_ if id_.isalnum() and id_.isascii() else quote(id_, safe="")
    return f"/v1/records/{collection}/{quoted}"


def read_query(raw: bytes, known: Collection[str]) -> dict[str, str]:
    """The parameters, each at most once. Raises HttpProblem for one that is not in `known`."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise invalid("the query must be name=value pairs in percent-encoded UTF-8", parameter="") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            hint = f"; known here: {', '.join(sorted(known))}" if known else ""
            raise invalid(f"{name[:100]}: no such parameter{hint}", parameter=name[:100])
        if name in found:
            raise invalid(f"{name}: given more than once", parameter=name)
        found[name] = value
    return found


def read_limit(text: str | None, *, default: int, most: int) -> int:
    if text is None:
        return default
    if not _WHOLE_NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise invalid(f"limit: must be a whole number from 1 to {most}", parameter="limit")
    return int(text)


def cursor_after(id_: str) -> str:
    """A cursor for what follows `id_`; clients are not to look inside."""
    return base64.urlsafe_b64encode(id_.encode()).rstrip(b"=").decode()


def read_cursor(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text or "\0" in text or cursor_after(text) != cursor:
        raise invalid("cursor: not one that was given out here", parameter="cursor")
    return text
