"""Failover: if one cannot do it, ask another. Among providers of one contract, and among endpoints of one service."""

from .attempts import Attempt, ErrorNote
from .errors import (
    AllEndpointsFailed,
    AllFailed,
    AllProvidersFailed,
    AuthFailed,
    ErrorKind,
    FailOverOn,
    Invalid,
    NoCandidate,
    NotFound,
    Throttled,
    kind_of,
    nothing_happened,
    unless_permanent,
)
from .hooks import Call, Hooks
from .joining import in_thread
from .method import Method, SyncMethod
from .outcomes import Execution, Failed, Outcome, Succeeded
from .provider import Provider
from .providers import Failover, functions, sync_functions
from .selection import ByExpectedTime, ByRegion, Request, Selection, Standing, Thompson, in_stages
from .stats import FailoverStats, ProviderStats
from .tally import Estimate

__all__ = [
    "AllEndpointsFailed",
    "AllFailed",
    "AllProvidersFailed",
    "Attempt",
    "AuthFailed",
    "ByExpectedTime",
    "ByRegion",
    "Call",
    "ErrorKind",
    "ErrorNote",
    "Estimate",
    "Execution",
    "FailOverOn",
    "Failed",
    "Failover",
    "FailoverStats",
    "Hooks",
    "Invalid",
    "Method",
    "NoCandidate",
    "NotFound",
    "Outcome",
    "Provider",
    "ProviderStats",
    "Request",
    "Selection",
    "Standing",
    "Succeeded",
    "SyncMethod",
    "Thompson",
    "Throttled",
    "functions",
    "in_stages",
    "in_thread",
    "kind_of",
    "nothing_happened",
    "sync_functions",
    "unless_permanent",
]
