"""POST, PUT, PATCH and DELETE: a request as an operation, and what became of it as an answer."""

from __future__ import annotations

from adapters.logs import about
from holdfast.clock import Clock
from holdfast.errors import Rejected, Transient
from holdfast.operations.identity import created_record_id, fingerprint, keyed_operation_id, new_operation_id
from holdfast.operations.jobs import Jobs
from holdfast.operations.model import (
    Applied,
    Effect,
    Job,
    JsonObject,
    Kind,
    Operation,
    Outcome,
    Precondition,
    Resource,
    State,
)
from holdfast.operations.write import Accepted, Writer

from ..answers import JSON, Answer, Header, Receive, retry_after
from ..negotiation import (
    Headers,
    Preferences,
    idempotency_key,
    precondition,
    preferences,
    require_media_type,
    traceparent,
)
from ..problems import CANCELLED, HttpProblem, invalid, problem_of, refusal
from ..representations import STATUS, encode, job, record
from ..waiting import Places, Waiting
from .body import parse, read_body
from .limits import Limits
from .target import record_path

JSON_BODY = (b"application/json",)
PATCH_BODY = (b"application/json", b"application/merge-patch+json")

_KINDS = {"POST": Kind.CREATE, "PUT": Kind.REPLACE, "PATCH": Kind.MERGE, "DELETE": Kind.DELETE}
_REPLAYED: Header = (b"idempotent-replayed", b"true")


class Writes:
    """Answers the writes. requests: the places of requests; a write lends its own while it only waits for its job."""

    def __init__(
        self, writer: Writer, jobs: Jobs, limits: Limits, *, requests: Places, waiting: Waiting, clock: Clock
    ) -> None:
        self._writer = writer
        self._jobs = jobs
        self._limits = limits
        self._requests = requests
        self._waiting = waiting
        self._clock = clock

    async def answer(
        self, principal: str, method: str, collection: str, id_: str | None, headers: Headers, receive: Receive
    ) -> Answer:
        """id_: None where the record is to be made anew under an id of ours."""
        kind = _KINDS[method]
        preferred = preferences(headers)
        key = idempotency_key(headers)
        condition = _condition(kind, headers)
        payload, canonical = await self._payload(kind, headers, receive)
        operation_id = keyed_operation_id(principal, key) if key else new_operation_id()
        operation = Operation(
            id=operation_id,
            principal=principal,
            resource=Resource(collection, id_ if id_ is not None else created_record_id(operation_id)),
            kind=kind,
            payload=payload,
            fingerprint=fingerprint(method, f"{collection}/{id_ or ''}", _canonical(condition), canonical),
            accepted_at=round(self._clock.time(), 3),
            precondition=condition,
            keyed=key is not None,
            traceparent=traceparent(headers),
        )
        return await self._write(operation, len(canonical), preferred, receive)

    async def _payload(self, kind: Kind, headers: Headers, receive: Receive) -> tuple[JsonObject | None, bytes]:
        if kind is Kind.DELETE:
            return None, b""
        require_media_type(headers, PATCH_BODY if kind is Kind.MERGE else JSON_BODY)
        body = await read_body(headers, receive, limit=self._limits.body)
        return parse(body, depth=self._limits.depth)

    async def _write(self, operation: Operation, size: int, preferred: Preferences | None, receive: Receive) -> Answer:
        at_once = preferred is not None and preferred.respond_async
        try:
            outcome = await self._writer.write(operation, hold_at_once=at_once, size=size)
        except Exception as error:
            about(operation.id)
            raise problem_of(error, keyed=operation.keyed) from error
        if not isinstance(outcome, Accepted):
            return _settled(outcome)
        if preferred is None:
            return _held(outcome.job, outcome.retry_after)
        return await self._as_preferred(outcome, preferred, receive)

    async def _as_preferred(self, accepted: Accepted, preferred: Preferences, receive: Receive) -> Answer:
        last = await self._wait(accepted.job, preferred.wait, receive) if preferred.wait else accepted.job
        answer = _held(last, accepted.retry_after) if last.outcome is None else _settled(last.outcome)
        applied = preferred.applied()
        return answer._replace(headers=[*answer.headers, (b"preference-applied", applied)]) if applied else answer

    async def _wait(self, held: Job, seconds: float, receive: Receive) -> Job:
        """The job when it is settled, the time is up, or nobody can wait or be asked any longer."""
        if not self._waiting.take():
            return held
        try:
            with self._requests.lent():
                work = self._jobs.wait(held.operation.id, seconds=seconds)
                return await self._waiting.for_(work, receive) or held
        except (Transient, Rejected):
            return held
        finally:
            self._waiting.give_back()


def _condition(kind: Kind, headers: Headers) -> Precondition | None:
    condition = precondition(headers)
    if kind is Kind.CREATE and condition is not None:
        name = "If-Match" if condition.match is not None else "If-None-Match"
        raise invalid(f"{name}: a new record has no version to compare; PUT it under an id of your own", header=name)
    return condition


def _canonical(condition: Precondition | None) -> str:
    return "" if condition is None else f"{condition.match}|{condition.none_match}"


def _settled(outcome: Outcome) -> Answer:
    if not isinstance(outcome, Applied):
        return refusal(outcome).answer()
    status = STATUS[outcome.effect]
    headers = [_REPLAYED] if outcome.replayed else []
    if outcome.effect is Effect.DELETED:
        return Answer(status, headers)
    item = outcome.record
    headers += JSON, (b"etag", b'"%d"' % item.version)
    if outcome.effect is Effect.CREATED:
        headers.append((b"location", record_path(*item.resource).encode()))
    return Answer(status, headers, encode(record(item)))


def _held(held: Job, seconds: float) -> Answer:
    if held.state is State.CANCELLED:
        raise HttpProblem(CANCELLED, "The operation of this Idempotency-Key was cancelled; send a new one.")
    headers: list[Header] = [JSON, (b"location", f"/v1/jobs/{held.operation.id}".encode())]
    if not held.state.settled:
        headers.append(retry_after(seconds))
    return Answer(202, headers, encode(job(held)))
