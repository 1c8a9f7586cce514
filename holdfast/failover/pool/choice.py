"""Which members of a pool to choose from, and which to eject. Pure decisions; the pool holds the lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .balancing import Caller
from .member import Member
from .outliers import OutlierOptions


def eligible(
    members: Collection[Member], caller: Caller, tried: Collection[int], panic_threshold: float
) -> Sequence[Member]:
    """The members that a balancer may choose from: usable, not tried yet, and of the best rank among these."""
    tags = caller.tags
    suited = [each for each in members if each.endpoint.weight > 0 and (not tags or each.endpoint.tags >= tags)]
    usable = [member for member in suited if member.usable()]
    if len(usable) < panic_threshold * len(suited):
        usable = suited
    left = [member for member in usable if member.number not in tried] if tried else usable
    best = min((member.rank for member in left), default=None)
    return [member for member in left if member.rank == best]


def should_eject(member: Member, members: Collection[Member], options: OutlierOptions) -> bool:
    """Whether it has failed enough, and not too many others are out."""
    if member.ejected or not member.ejection.is_due(options, member.recent()):
        return False
    return sum(each.ejected for each in members) < options.room(len(members))


def may_return(members: Collection[Member], now: float) -> list[Member]:
    """The members whose ejection is over."""
    return [member for member in members if member.ejected and now >= member.ejection.until]
