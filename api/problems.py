"""Errors and refusals as RFC 9457 problem details: the only map from either to HTTP.

Every kind has a page, served by this process under its `type`, and a line in the table below.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec

from holdfast.errors import BulkheadFull, OutcomeUnknown, Overloaded, RateLimited, Rejected, Transient
from holdfast.operations.model import Problem, ProblemType, Refused

from .answers import NOT_STORED, PROBLEM, Answer, Header, retry_after

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of problem. slug: its stable name; the page is `docs/problems/<slug>.md`."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"


INVALID = Kind("invalid-request", 400, "The request is not valid")
UNAUTHENTICATED = Kind("unauthenticated", 401, "It is not known who asks")
INSUFFICIENT_SCOPE = Kind("insufficient-scope", 403, "The key does not allow this")
NOT_FOUND = Kind("not-found", 404, "There is no such thing")
UNKNOWN_PATH = Kind("unknown-path", 404, "Nothing is served at this path")
METHOD = Kind("method-not-allowed", 405, "The resource does not know this method")
TOO_SLOW = Kind("request-timeout", 408, "The request took too long to arrive")
EXISTS = Kind("already-exists", 409, "The record exists already")
SUPERSEDED = Kind("superseded", 409, "A later write took effect first")
CANCELLED = Kind("operation-cancelled", 409, "The operation was cancelled")
NOT_CANCELLABLE = Kind("not-cancellable", 409, "The operation can no longer be cancelled")
NOT_RETRIABLE = Kind("not-retriable", 409, "Only a dead operation can be retried")
PRECONDITION = Kind("precondition-failed", 412, "The record is not as the request requires")
TOO_LARGE = Kind("content-too-large", 413, "The body is too large")
TARGET_TOO_LONG = Kind("target-too-long", 414, "The request target is too long")
MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body is of a type that is not taken here")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The Idempotency-Key was used for another request")
UNSTORABLE = Kind("unstorable", 422, "The store cannot keep this record")
RATE_LIMITED = Kind("rate-limited", 429, "Too many requests from this client")
HEAD_TOO_LARGE = Kind("headers-too-large", 431, "The header fields are too large")
INTERNAL = Kind("internal-error", 500, "The fault is ours")
OVERLOADED = Kind("overloaded", 503, "Too much is going on at the moment")
UNAVAILABLE = Kind("unavailable", 503, "What is needed for this cannot be reached")
OUTCOME_UNKNOWN = Kind("outcome-unknown", 503, "The write may or may not have happened")

KINDS = {
    kind.slug: kind
    for kind in (
        *(INVALID, UNAUTHENTICATED, INSUFFICIENT_SCOPE, NOT_FOUND, UNKNOWN_PATH, METHOD, TOO_SLOW),
        *(EXISTS, SUPERSEDED, CANCELLED, NOT_CANCELLABLE),
        *(NOT_RETRIABLE, PRECONDITION, TOO_LARGE, TARGET_TOO_LONG, MEDIA_TYPE, KEY_REUSED, UNSTORABLE),
        *(RATE_LIMITED, HEAD_TOO_LARGE, INTERNAL, OVERLOADED, UNAVAILABLE, OUTCOME_UNKNOWN),
    )
}

REFUSALS = {
    ProblemType.NOT_FOUND: NOT_FOUND,
    ProblemType.ALREADY_EXISTS: EXISTS,
    ProblemType.PRECONDITION_FAILED: PRECONDITION,
    ProblemType.SUPERSEDED: SUPERSEDED,
    ProblemType.KEY_REUSED: KEY_REUSED,
    ProblemType.UNSTORABLE: UNSTORABLE,
    ProblemType.CANCELLED: CANCELLED,
}

_SECONDS_UNTIL_ASKED_AGAIN = 1.0

# The error's own text may name hosts and users; it is for the log.
_UNAVAILABLE = "What this request needs cannot be reached now. Nothing has happened: repeat it later."
_OVERLOADED = "Too much is going on here. Nothing has happened: repeat it later."
_UNKNOWN = {
    True: "No answer came in time. Repeat the request with the same Idempotency-Key: that is safe, and tells.",
    False: "No answer came in time, and it had no Idempotency-Key: look whether it has happened before you repeat it.",
}


@dataclass(eq=False)
class HttpProblem(Exception):
    """A request's end as a problem. errors: the places at fault, as RFC 9457 section 3 shows them."""

    kind: Kind
    detail: str
    errors: Sequence[dict[str, str]] = ()
    headers: Sequence[Header] = ()
    more: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> Answer:
        body = details(self.kind, self.detail) | self.more
        if self.errors:
            body["errors"] = list(self.errors)
        return Answer(self.kind.status, [PROBLEM, NOT_STORED, *self.headers], msgspec.json.encode(body))


def details(kind: Kind, detail: str) -> dict[str, Any]:
    return {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail}


def invalid(detail: str, **place: str) -> HttpProblem:
    """A 400 that names its place: `header=`, `parameter=`, `pointer=` (into the body) or `path=`."""
    return HttpProblem(INVALID, detail, [{"detail": detail, **place}] if place else [])


def invalid_all(errors: Iterable[dict[str, str]]) -> HttpProblem:
    """A 400 with several places, each with its own `detail`."""
    found = list(errors)
    return HttpProblem(INVALID, "; ".join(error["detail"] for error in found), found)


def refusal(refused: Refused) -> HttpProblem:
    headers = [(b"idempotent-replayed", b"true")] if refused.replayed else []
    return HttpProblem(REFUSALS[refused.problem.type], refused.problem.detail, headers=headers)


def refusal_details(problem: Problem) -> dict[str, Any]:
    """The same problem as a value, for a job's result."""
    return details(REFUSALS[problem.type], problem.detail)


def problem_of(error: Exception, *, keyed: bool | None = None) -> HttpProblem:
    """The problem that tells a client of `error`; what nobody foresaw is logged under an incident id.

    keyed: whether a write had an Idempotency-Key; None for what is no write.
    """
    if isinstance(error, HttpProblem):
        return error
    if not isinstance(error, (Transient, Rejected)):
        return _incident(error)
    log.debug("not answered: %s", error)
    wait = error.retry_after if isinstance(error, Rejected) else _SECONDS_UNTIL_ASKED_AGAIN
    kind, detail = _unanswered(error, keyed)
    return HttpProblem(kind, detail, headers=[retry_after(wait)])


def _unanswered(error: Transient | Rejected, keyed: bool | None) -> tuple[Kind, str]:
    if isinstance(error, RateLimited):
        return RATE_LIMITED, f"{error}. Nothing has happened."
    if isinstance(error, (Overloaded, BulkheadFull)):
        return OVERLOADED, _OVERLOADED
    if isinstance(error, OutcomeUnknown) and keyed is not None:
        return OUTCOME_UNKNOWN, _UNKNOWN[keyed]
    return UNAVAILABLE, _UNAVAILABLE


def _incident(error: Exception) -> HttpProblem:
    incident = str(uuid4())
    log.error("incident %s", incident, exc_info=error)
    detail = f"This has been logged as incident {incident}. Whether the request took effect is not known."
    return HttpProblem(INTERNAL, detail, more={"incident": incident})
