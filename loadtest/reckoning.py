"""After the load: nothing stays unknown, every job is settled, and each record is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import requests
from gevent.pool import Pool

from .truth import Record, Seen, Truth, Write, differences
from .wire import Answers, Api

_AT_ONCE = 16
_BETWEEN_POLLS = 0.2


def reckon(truth: Truth, api: Api, *, within: float, say: Callable[[str], None]) -> list[str]:
    """What is wrong with what stands, in words; none is what one wants.

    within: seconds that unanswered writes and jobs have for their end. say: is told how it goes.
    """
    deadline = time.monotonic() + within
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=_AT_ONCE))
        answers = _answers(session, api)
        _settle(truth, answers, deadline, say)
        say(f"looking at {len(truth.records)} records")
        found = Pool(_AT_ONCE).map(lambda record: list(_wrong(record, answers)), truth.records)
    return [text for texts in found for text in texts]


def _answers(session: requests.Session, api: Api) -> Answers:
    def ask(method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        try:
            reply = session.request(method, api.url + path, headers=api.headers | headers, json=body, timeout=30)
            return reply.status_code, reply.json() if reply.content else None
        except (requests.RequestException, ValueError):
            return 0, None

    return Answers(ask, api.collection)


def _settle(truth: Truth, answers: Answers, deadline: float, say: Callable[[str], None]) -> None:
    pool = Pool(_AT_ONCE)
    while time.monotonic() < deadline:
        unknown, waiting = list(truth.unknown()), list(truth.waiting())
        if not unknown and not waiting:
            return
        say(f"{len(waiting)} jobs are not settled, {len(unknown)} writes have no answer")
        pool.map(lambda pair: answers.write(*pair), unknown)
        pool.map(lambda pair: answers.poll(truth, pair[1]), waiting)
        gevent.sleep(_BETWEEN_POLLS)


def _wrong(record: Record, answers: Answers) -> Iterator[str]:
    name = record.id or "a record that was never made"
    for write in record.writes:
        if write.effect is None:
            yield f"{name}: {_unsettled(write)}"
        elif not write.effect:
            yield f"{name}: {write.kind} {write.mark} was refused, though its user alone writes there"
    if record.id is None or any(write.effect is None for write in record.writes):
        return
    seen = answers.read(record.id)
    if isinstance(seen, Seen):
        yield from (f"{name}: {text}" for text in differences(record, seen))
    else:
        yield f"{name}: the read was answered {seen}"


def _unsettled(write: Write) -> str:
    if write.job is None:
        return f"{write.kind} {write.mark} got no answer"
    return f"{write.kind} {write.mark} was accepted, and its job {write.job} is not settled"
