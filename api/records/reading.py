"""GET and HEAD of a record or of a collection."""

from __future__ import annotations

from holdfast.clock import Clock
from holdfast.operations.model import Precondition, Resource
from holdfast.operations.read import Reader, Reading

from ..answers import JSON, REVALIDATE, Answer, Header
from ..negotiation import Headers, precondition
from ..problems import NOT_FOUND, PRECONDITION, HttpProblem, invalid
from ..representations import encode, record
from .limits import Limits
from .target import cursor_after, read_cursor, read_limit, read_query

_FROM_CACHE: Header = (b"cache-status", b"holdfast; hit; detail=store-unavailable")
_FROM_REPLICA: Header = (b"cache-status", b"holdfast; fwd=stale; detail=replica")
_PENDING_UNKNOWN: Header = (b"holdfast-pending", b"unknown")
_ONE = frozenset({"pending"})
_PAGE = frozenset({"limit", "cursor"})


class Reads:
    """Answers the reads."""

    def __init__(self, reader: Reader, limits: Limits, clock: Clock) -> None:
        self._reader = reader
        self._limits = limits
        self._clock = clock

    async def one(self, resource: Resource, headers: Headers, query: bytes) -> Answer:
        foreseen = _wants_pending(query)
        reading = await self._reader.get(resource, apply_pending=foreseen)
        more = self._remarks(reading)
        if reading.record is None:
            raise HttpProblem(NOT_FOUND, f"There is no record {resource}.", headers=more)
        body = encode(record(reading.record))
        if foreseen and reading.pending:
            # What is foreseen is no version yet: another write may still become it, so there is no tag to compare.
            return Answer(200, [JSON, REVALIDATE, *more], body)
        tag = (b"etag", b'"%d"' % reading.record.version)
        asked = precondition(headers)
        if asked is not None and _is_current(asked, reading.record.version):
            return Answer(304, [tag, REVALIDATE, *more])
        return Answer(200, [JSON, tag, REVALIDATE, *more], body)

    async def page(self, collection: str, query: bytes) -> Answer:
        asked = read_query(query, _PAGE)
        limit = read_limit(asked.get("limit"), default=self._limits.page, most=self._limits.longest_page)
        after = read_cursor(asked.get("cursor"))
        found = await self._reader.page(collection, after=after, limit=limit + 1)
        following = cursor_after(found[limit - 1].resource.id) if len(found) > limit else None
        body = encode({"items": [record(each) for each in found[:limit]], "next_cursor": following})
        return Answer(200, [JSON, REVALIDATE, *_link(collection, limit, following)], body)

    def _remarks(self, reading: Reading) -> list[Header]:
        """What a client should know of where this comes from and what is still to come."""
        remarks: list[Header] = []
        if reading.cached_at is not None:
            source = _FROM_REPLICA if reading.replica else _FROM_CACHE
            remarks = [(b"age", b"%d" % max(0, self._clock.time() - reading.cached_at)), source]
        if reading.pending is not None:
            remarks.append((b"holdfast-pending", reading.pending.encode()))
        elif not reading.pending_known:
            remarks.append(_PENDING_UNKNOWN)
        return remarks


def _wants_pending(query: bytes) -> bool:
    if not query:
        return False
    wanted = read_query(query, _ONE).get("pending")
    if wanted not in (None, "apply"):
        raise invalid("pending: must be apply", parameter="pending")
    return wanted is not None


def _is_current(asked: Precondition, version: int) -> bool:
    """Whether the client has this version already. Raises 412 where If-Match names others (RFC 9110, 13.2.2)."""
    if not Precondition(match=asked.match).holds(version):
        raise HttpProblem(PRECONDITION, f"The record is at version {version}.")
    return not Precondition(none_match=asked.none_match).holds(version)


def _link(collection: str, limit: int, cursor: str | None) -> list[Header]:
    if cursor is None:
        return []
    target = f"/v1/records/{collection}?limit={limit}&cursor={cursor}"
    return [(b"link", f'<{target}>; rel="next"'.encode())]
