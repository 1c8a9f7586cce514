"""Held operations come to an end, in time, and not by dying."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts
from .model import Job, Operation, Outcome
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
    accepted, proof = operation.accepted, operation.proof
    job = facts.jobs.get(operation.job or "")
    if accepted is None or (job is not None and job.last is not None and job.last.state == "dead"):
        return
    if operation.outcome is Outcome.UNSURE:
        text = f"{operation} was accepted and has not settled"
        yield violation("unsettled", text, [operation.first, accepted, job.last if job else None])
        return
    since = max(accepted.at, facts.healed.at if facts.healed is not None else 0.0)
    if proof is not None and proof.at - since > settle_within:
        text = f"{operation} was accepted and settled {proof.at - since:.1f} s later, or after the healing"
        yield violation("unsettled", text, [*operation.evidence, facts.healed])
