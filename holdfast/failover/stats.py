"""What there is to see of a failover and its providers. Rates and times are of the last 24 hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..breaker import Snapshot
from .attempts import ErrorNote
from .tally import Counts


@dataclass(frozen=True, slots=True)
class ProviderStats:
    """How one provider is doing.

    success_rate:          successes over calls, from 0 to 1; None without calls. A retried call counts once.
    average_response_time: seconds of the last try of each call; None without calls.
    skipped:               requests in which it was not called (open breaker, spent rate, asked to be left alone).
    failovers:             requests that went on to somebody else after it failed or was skipped.
    breakers:              those within its policies, by name.
    resting_for:           seconds for which it asks to be left alone.

    >>> from holdfast.failover import Failover, Provider
    >>> stats: ProviderStats = Failover("lengths", [Provider(len)]).stats().providers["len"]
    >>> stats.calls, stats.success_rate
    (0, None)
    """

    name: str
    calls: int
    succeeded: int
    failed: int
    skipped: int
    failovers: int
    success_rate: float | None
    average_response_time: float | None
    last_error: ErrorNote | None
    breakers: Mapping[str, Snapshot]
    resting_for: float

    @classmethod
    def of(
        cls,
        name: str,
        counts: Counts,
        last_error: ErrorNote | None,
        breakers: Mapping[str, Snapshot],
        resting_for: float,
    ) -> ProviderStats:
        return cls(
            name=name,
            calls=counts.calls,
            succeeded=counts.succeeded,
            failed=counts.failed,
            skipped=counts.skipped,
            failovers=counts.passed_on,
            success_rate=counts.success_rate,
            average_response_time=counts.average_duration,
            last_error=last_error,
            breakers=breakers,
            resting_for=resting_for,
        )


@dataclass(frozen=True, slots=True)
class FailoverStats:
    """How requests went as a whole.

    requests:       those that ended in success or failure; cancelled ones are neither.
    failed_over:    requests in which a provider failed or was skipped and another was asked.
    failover_rate:  failed_over over requests, from 0 to 1; None without requests.

    >>> from holdfast.failover import Failover, Provider
    >>> stats: FailoverStats = Failover("lengths", [Provider(len)]).stats()
    >>> stats.requests, list(stats.providers)
    (0, ['len'])
    """

    name: str
    requests: int
    succeeded: int
    failed: int
    failed_over: int
    failover_rate: float | None
    providers: Mapping[str, ProviderStats]

    @classmethod
    def of(cls, name: str, totals: Counts, providers: Mapping[str, ProviderStats]) -> FailoverStats:
        return cls(
            name=name,
            requests=totals.calls,
            succeeded=totals.succeeded,
            failed=totals.failed,
            failed_over=totals.passed_on,
            failover_rate=totals.passed_on / totals.calls if totals.calls else None,
            providers=providers,
        )
