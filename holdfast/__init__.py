"""Holdfast: durable writes and resilience patterns, standard library only.

A policy guards calls: by `call` and `acall`, as a decorator (sync or async as the function is), and some as a block.
Each has one home, such as `holdfast.retry`, and a page in docs/patterns. Failover among providers and endpoints is in
`holdfast.failover`, the engine of the durable writes in `holdfast.operations`.

>>> pipeline = compose(Timeout(10.0), Retry(3), CircuitBreaker("store"), Bulkhead(10))
>>> @pipeline
... def read(key):
...     return {"key": key}
>>> read("a")
{'key': 'a'}
"""

from .abandon import abandon_after, abandon_thread_after
from .adaptive import AdaptiveLimit, Aimd, Gradient
from .backoff import Backoff, constant, exponential, linear
from .breaker import BreakerOptions, CircuitBreaker, State, Verdict
from .budget import RetryBudget
from .bulkhead import Bulkhead, semaphore
from .chaos import Chaos
from .concurrency import CallOutcome, ConcurrencyManager
from .deadline import remaining
from .errors import (
    Abandoned,
    BulkheadFull,
    CircuitOpen,
    HoldfastError,
    OutcomeUnknown,
    Overloaded,
    Permanent,
    RateLimited,
    Rejected,
    Throttled,
    TimedOut,
    Transient,
    Unavailable,
)
from .events import Event, Listener, fan_out
from .fallback import Fallback
from .health import Check, HealthRegistry
from .hedge import Hedge
from .partitioned import Partitioned
from .policy import Pipeline, Policy, compose
from .ratelimit import Rate, RateLimiter
from .retry import Retry, RetryResult
from .retry_after import parse_retry_after
from .stale import StaleOnError, StaleResult
from .timeout import Timeout

__all__ = [
    "Abandoned",
    "AdaptiveLimit",
    "Aimd",
    "Backoff",
    "BreakerOptions",
    "Bulkhead",
    "BulkheadFull",
    "CallOutcome",
    "Chaos",
    "Check",
    "CircuitBreaker",
    "CircuitOpen",
    "ConcurrencyManager",
    "Event",
    "Fallback",
    "Gradient",
    "HealthRegistry",
    "Hedge",
    "HoldfastError",
    "Listener",
    "OutcomeUnknown",
    "Overloaded",
    "Partitioned",
    "Permanent",
    "Pipeline",
    "Policy",
    "Rate",
    "RateLimited",
    "RateLimiter",
    "Rejected",
    "Retry",
    "RetryBudget",
    "RetryResult",
    "StaleOnError",
    "StaleResult",
    "State",
    "Throttled",
    "TimedOut",
    "Timeout",
    "Transient",
    "Unavailable",
    "Verdict",
    "abandon_after",
    "abandon_thread_after",
    "compose",
    "constant",
    "exponential",
    "fan_out",
    "linear",
    "parse_retry_after",
    "remaining",
    "semaphore",
]
