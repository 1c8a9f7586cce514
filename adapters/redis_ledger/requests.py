"""The engine's values as the arguments of the ledger's scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.operations.model import Operation, Resource
from holdfast.operations.ports import Again, Dead, Done, Hold, Settlement, Verdict
from holdfast.operations.tally import counted_as

from ..codec import encode_operation, encode_outcome, resource_text
from ..redis_server import Argument


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def cursor(text: str | None) -> str:
    """A cursor of a list of jobs. Raises ValueError where it is none."""
    if text is None:
        return "0"
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"not a cursor of a list of jobs: {text!r}")
    return text


def gates(operations: Sequence[Operation]) -> Iterator[Argument]:
    for operation in operations:
        yield operation.id if operation.keyed else ""
        yield resource_text(operation.resource)


def holds(items: Sequence[Hold]) -> Iterator[Argument]:
    for operation, unsure in items:
        yield operation.id
        yield resource_text(operation.resource)
        yield "1" if unsure else ""
        yield from encode_operation(operation)


def names(resources: Sequence[Resource], most: int) -> list[list[bytes]]:
    """In parts of `most`."""
    texts = list(map(resource_text, resources))
    return [texts[at : at + most] for at in range(0, len(texts), most)]


def parted(items: Sequence[Settlement], most: int) -> Iterator[list[Settlement]]:
    """In parts that end with the settlement whose verdicts make it `most`, or more."""
    part: list[Settlement] = []
    size = 0
    for item in items:
        part.append(item)
        size += len(item.verdicts)
        if size >= most:
            yield part
            part, size = [], 0
    if part:
        yield part


def settlements(items: Sequence[Settlement]) -> Iterator[Argument]:
    for lease, verdicts, due_in in items:
        yield resource_text(lease.resource)
        yield lease.token
        yield len(lease.jobs)
        yield milliseconds(due_in)
        yield len(verdicts)
        for verdict in verdicts:
            yield from _verdict(verdict)


def _verdict(verdict: Verdict) -> tuple[Argument, ...]:
    match verdict:
        case Done(id_, outcome):
            return "done", id_, encode_outcome(outcome), counted_as(outcome)
        case Dead(id_, error, blocks):
            return "dead", id_, error, "blocks" if blocks else ""
        case Again(id_, error, counts, unsure):
            words = {"error": error is not None, "counts": counts, "unsure": unsure}
            return "again", id_, error or "", " ".join(word for word, said in words.items() if said)
