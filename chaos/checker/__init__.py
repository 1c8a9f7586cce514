"""Proves from a history that the guarantees were kept, or shows where not.

`check` is a pure function. Its work is linear in the size of the history, but for a logarithm in the number of changes
whose outcome nobody was told and of versions that were deletes.

What makes it exact without a search: every change that took effect made one version of its record, and a document of
version v with m merges shows all that happened since version v - m, its base. So most changes have a known place, and
only those that nobody saw and whose outcome nobody was told are left to be matched with the versions that nobody else
made (`effects`).
"""

from __future__ import annotations

from collections.abc import Iterable

from ..history import Event
from .effects import Effects
from .facts import Facts
from .jobs import check_jobs
from .reads import check_reads
from .rules import RULES, Violation

__all__ = ["RULES", "Violation", "check"]


def check(events: Iterable[Event], *, settle_within: float = 60.0, allow: Iterable[str] = ()) -> list[Violation]:
    """Every violation of a rule that is not allowed: those that explain others first, then in the order of time.

    settle_within: seconds in which a held operation must settle once all is healed. allow: names of rules.
    """
    facts = Facts(events)
    found = list(facts.violations)
    found += check_jobs(facts, settle_within)
    for resource in facts.resources.values():
        effects = Effects(resource, facts.operations)
        found += effects.violations
        found += check_reads(resource, effects)
    allowed = frozenset(allow)
    ranks = {rule: rank for rank, rule in enumerate(RULES)}
    left = (one for one in found if one.rule not in allowed)
    return sorted(left, key=lambda one: (ranks[one.rule], one.events[-1].at))
