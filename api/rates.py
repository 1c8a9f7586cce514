"""How often one principal may ask: GCRA for each, in this process (draft-ietf-httpapi-ratelimit-headers-09)."""

from __future__ import annotations

import math

from adapters.keys_file import Key, KeyScope
from holdfast.clock import Clock
from holdfast.ratelimit import Rate, admit

from .answers import Header, Scope, retry_after
from .negotiation import Headers
from .principal import Admit
from .problems import RATE_LIMITED, HttpProblem

REMARKS = "holdfast.remarks"
_MOST_REMEMBERED = 10_000


class Rates:
    """A rate limit for each principal, kept by this process alone: n processes admit n times the limit.

    limit:  requests in each period, all of which may come at once.
    period: seconds.
    """

    def __init__(self, limit: int, period: float, clock: Clock) -> None:
        self._rate = Rate(limit, period, burst=limit)
        self._policy: Header = (b"ratelimit-policy", b'"principal";q=%d;w=%d' % (limit, math.ceil(period)))
        self._clock = clock
        self._arrivals: dict[str, float] = {}

    def spend(self, principal: str) -> list[Header]:
        """Count a request; the fields that tell what is left. Raises HttpProblem (429) where nothing is."""
        now = self._clock.monotonic()
        tat, wait = admit(self._arrivals.get(principal, now), now, self._rate)
        if wait:
            detail = f"At most {self._rate.burst} requests in {self._rate.period:g} s. Nothing has happened."
            headers = [retry_after(wait), *self._fields(tat - self._rate.interval - now)]
            raise HttpProblem(RATE_LIMITED, detail, headers=headers)
        if len(self._arrivals) >= _MOST_REMEMBERED:
            self._forget(now)
        self._arrivals[principal] = tat
        return self._fields(tat - now)

    def _fields(self, owed: float) -> list[Header]:
        """owed: seconds until all is there again."""
        left = max(0, math.floor(self._rate.burst - owed / self._rate.interval + 1e-6))
        return [self._policy, (b"ratelimit", b'"principal";r=%d;t=%d' % (left, math.ceil(owed)))]

    def _forget(self, now: float) -> None:
        """Drop the principals that have their whole limit back: they are as good as new."""
        self._arrivals = {name: tat for name, tat in self._arrivals.items() if tat > now}


def limited(admit_: Admit, rates: Rates) -> Admit:
    """Admit as `admit_` does, and no more often than `rates` has it."""

    def admit_at_a_rate(scope: Scope, headers: Headers, needed: KeyScope, collection: str | None = None) -> Key:
        asker = admit_(scope, headers, needed, collection)
        scope[REMARKS] = rates.spend(asker.principal)
        return asker

    return admit_at_a_rate
