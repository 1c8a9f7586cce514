"""What has become of all operations that were ever held.

The ledger itself counts, in the very step in which something happens: so the counts are right whichever process dies
after that step, and the same for every process that asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from .model import Applied, Outcome, ProblemType

# Seconds. Long outages matter as much as short ones.
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0)
# The same in milliseconds, and the names under which a ledger counts.
LIMITS = tuple(round(bound * 1000) for bound in BOUNDS)
_BEYOND = "within:inf"
_BUCKETS = (*(f"within:{limit}" for limit in LIMITS), _BEYOND)


@dataclass(frozen=True, slots=True)
class Tally:
    """Operations since the ledger was made. At every moment

        held = succeeded + failed + superseded + cancelled + those that are dead + those that wait

    failed:     refused at their replay, superseded ones aside.
    died:       times that one became dead. revived: times that a dead one was retried by someone.
    faults:     tries that failed by the operation's own fault. put_back: tries that an outage ended.
    missing:    were in a mailbox and nowhere else.
    replays:    succeeded, failed and superseded, by the time since the hold (or the retry of a dead one): up to each
                of BOUNDS, and beyond. replay_seconds: the sum of these times.
    """

    held: int = 0
    succeeded: int = 0
    failed: int = 0
    superseded: int = 0
    cancelled: int = 0
    died: int = 0
    revived: int = 0
    faults: int = 0
    put_back: int = 0
    missing: int = 0
    replays: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    replay_seconds: float = 0.0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Tally:
        """From counts under the names of the fields, of `bucket`, and `replay_ms`."""
        plain = {field.name: counts.get(field.name, 0) for field in fields(cls) if field.type == "int"}
        replays = tuple(counts.get(name, 0) for name in _BUCKETS)
        return cls(**plain, replays=replays, replay_seconds=counts.get("replay_ms", 0) / 1000)


def counted_as(outcome: Outcome) -> str:
    """The name under which a ledger counts an operation with this outcome."""
    if isinstance(outcome, Applied):
        return "succeeded"
    return "superseded" if outcome.problem.type is ProblemType.SUPERSEDED else "failed"


def bucket(milliseconds: int) -> str:
    """The name under which a ledger counts a replay that took so long."""
    return next((f"within:{limit}" for limit in LIMITS if milliseconds <= limit), _BEYOND)
