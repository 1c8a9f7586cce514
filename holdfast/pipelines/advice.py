"""Orders of policies that go wrong, found before they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from ..adaptive import AdaptiveLimit
from ..breaker import CircuitBreaker
from ..bulkhead import Bulkhead
from ..errors import BulkheadFull, CircuitOpen
from ..hedge import Hedge
from ..policy import Policy
from ..retry import Retry
from ..timeout import Timeout


class Advice(NamedTuple):
    """code: stable, for filters. text: what happens, and what to do instead.

    >>> advise(Retry(), Retry())[0] == Advice("retry-within-retry", _PAIRS[1][3])
    True
    """

    code: str
    text: str


def advise(*policies: Policy) -> list[Advice]:
    """What is doubtful about this order, the outermost first; nothing that is listed here keeps it from being used.

    >>> advise(CircuitBreaker("store"), Retry(3))[0].code
    'breaker-outside-retry'
    """
    pairs = [advice for outer, inner in combinations(policies, 2) for advice in _of_pair(outer, inner)]
    return [*dict.fromkeys([*pairs, *_of_timeouts(policies), *_of_rejections(policies)])]


def _of_pair(outer: Policy, inner: Policy) -> Iterator[Advice]:
    for is_outer, is_inner, code, text in _PAIRS:
        if isinstance(outer, is_outer) and isinstance(inner, is_inner):
            yield Advice(code, text)
    if isinstance(outer, _LIMITS) and isinstance(inner, Timeout) and inner.abandons:
        yield Advice(
            "bulkhead-outside-abandon",
            "the bulkhead's slot is free again while an abandoned call still runs; put the bulkhead inside",
        )
    if isinstance(outer, Timeout) and isinstance(inner, _LIMITS) and inner.queue:
        yield Advice(
            "timeout-outside-queue",
            "a call that waits for a slot can run out of this timeout, and a breaker between them counts that against "
            "the other side; put the bulkhead outside of breaker and timeout, and bound the wait by its max_wait",
        )


_LIMITS = (Bulkhead, AdaptiveLimit)
_PAIRS: Sequence[tuple[type, type, str, str]] = (
    (
        CircuitBreaker,
        Retry,
        "breaker-outside-retry",
        "a call whose attempts all failed counts as one failure; put the retry outside",
    ),
    (
        Retry,
        Retry,
        "retry-within-retry",
        "their attempts multiply, three times three are nine; keep one, or have them share a budget",
    ),
    (Hedge, Retry, "hedge-outside-retry", "every second try brings retries of its own; put the retry outside"),
)


def _of_timeouts(policies: Sequence[Policy]) -> Iterator[Advice]:
    breaker = next((at for at, policy in enumerate(policies) if isinstance(policy, CircuitBreaker)), None)
    if breaker is None:
        return
    outside, inside = (any(isinstance(one, Timeout) for one in side) for side in _sides(policies, breaker))
    if outside and not inside:
        yield Advice(
            "timeout-only-outside-breaker",
            "a server that hangs reaches the breaker as cancellations, which count as nothing; "
            "put a timeout of one attempt inside the breaker",
        )


def _sides(policies: Sequence[Policy], at: int) -> tuple[Sequence[Policy], Sequence[Policy]]:
    return policies[:at], policies[at + 1 :]


def _of_rejections(policies: Sequence[Policy]) -> Iterator[Advice]:
    refusals: Sequence[Callable[[], Exception]] = (lambda: CircuitOpen("", 1.0), lambda: BulkheadFull("", 1.0))
    for policy in policies:
        if isinstance(policy, Retry) and any(policy.retries(refusal()) for refusal in refusals):
            yield Advice(
                "retry-of-rejections",
                "an open breaker or a full bulkhead refuses at once what is tried again at once; "
                "leave Rejected out of retry_on",
            )
