"""The rules that a history is held to, and what breaking one looks like."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..history import Event, encode

# The rules that explain violations of others come first.
RULES = {
    "lost": "what was acknowledged took effect, and no later version is without it",
    "twice": "nothing took effect twice",
    "refused": "what was answered 4xx, or whose job failed, never took effect",
    "half-done": "what was answered with a 503 that says that nothing has happened did not happen",
    "claim": "no version was made by two operations",
    "gap": "no version was made by nobody",
    "order": "what was acknowledged before another was sent took effect before it",
    "condition": "a conditional write took effect on the version that it named, and on no other",
    "unjust": "a precondition that held throughout was not refused",
    "transition": "a merge or delete found a record, and 201 says that there was none, 200 and 204 that there was one",
    "document": "one version is one document, whoever is shown it",
    "phantom": "no record shows what nobody has sent",
    "outcome": "an operation has one outcome and one job, however often it is asked for",
    "backwards": "a settled job stays as it is, none is queued again, and attempts never become fewer",
    "forgotten": "a job can be polled to its end",
    "unsettled": "every held operation settles in time once all is healed",
    "dead": "no operation dies of an outage",
    "superseded": "no held operation gives way to a direct write (it may, and says so, where the ledger was away)",
    "stale": "a read is as new as all that anybody was told before it, or says that it comes from the cache",
    "cache": "the cache shows no older version than it has shown before, unless it was broken in between",
    "hidden": "a read shows every write that was accepted before it, or says that one waits, or that it cannot know",
    "bug": "no answer is 500",
    "contract": "a 503 says when to come back",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """rule: a key of RULES. events: the smallest slice of the history that shows it, in the order of time."""

    rule: str
    text: str
    events: tuple[Event, ...]

    def __str__(self) -> str:
        return "\n    ".join([f"{self.rule}: {self.text}", *map(encode, self.events)])


def violation(rule: str, text: str, events: Iterable[Event | None]) -> Violation:
    """Events may repeat and be None."""
    known = {id(event): event for event in events if event is not None}
    return Violation(rule, text, tuple(sorted(known.values(), key=lambda event: event.at)))
