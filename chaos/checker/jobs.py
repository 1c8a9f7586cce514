"""Held operations come to an end, in time, and not by dying."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts
from .model import Job, Operation
from .rules import Violation, violation


def check_jobs(facts: Facts, settle_within: float) -> Iterator[Violation]:
    """settle_within: seconds from the healing, or from the promise where that is later."""
    for job in facts.jobs.values():
        yield from _check_end(job)
    for operation in facts.operations.values():
        if operation.accepted is not None:
            yield from _check_time(facts, operation, settle_within)


def _check_end(job: Job) -> Iterator[Violation]:
    operation, last = job.operation, job.last
    if last is not None and last.state == "dead":
        yield violation("dead", f"{operation} died", [*operation.evidence, last])
    if last is not None and last.problem == "superseded":
        yield violation("superseded", f"{operation} gave way to a direct write", [*operation.evidence, last])


def _check_time(facts: Facts, operation: Operation, settle_within: float) -> Iterator[Violation]:
    """An answer does not stand in for the job: a request may be held although an earlier one had its answer."""
    accepted, job = operation.accepted, facts.jobs.get(operation.job or "")
    last, ended = (job.last, job.ended) if job is not None else (None, None)
    if accepted is None or (last is not None and last.state == "dead"):
        return
    if ended is None:
        yield violation("unsettled", f"{operation} was accepted and has not settled", [operation.first, accepted, last])
        return
    late = ended.at - max(accepted.at, facts.healed.at if facts.healed is not None else 0.0)
    if late > settle_within:
        text = f"{operation} was accepted and settled {late:.1f} s later, or after the healing"
        yield violation("unsettled", text, [operation.first, accepted, ended, facts.healed])
