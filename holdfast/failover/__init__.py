"""Failover: if one cannot do it, ask another. Among providers of one contract, and among endpoints of one service.

Providers: a `Failover` keeps a `lineup` of them. Each of its methods asks one after the other, or all at once
(`method`); each provider that is asked is a `trial`, and `books` keeps what came of it. Endpoints are in `pool`.
`errors`, `tally` (counts and estimates) and `attempts` serve both.
"""

from ..errors import Throttled
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
    kind_of,
    nothing_happened,
    unless_permanent,
)
from .hooks import Call, Hooks
from .method import Method, SyncMethod
from .outcomes import Execution, Failed, Outcome, Succeeded
from .pool.balancing import (
    Balancer,
    ByHash,
    ByHealth,
    Caller,
    Candidate,
    LeastConnections,
    Nearest,
    Random,
    RoundRobin,
    Sticky,
    TwoChoices,
    Weighted,
    balancer,
    distance,
    expected_wait,
    in_flight,
)
from .pool.discovery import Discovery, Source, polled, read_each, static
from .pool.endpoint import Endpoint, Location
from .pool.endpoint_pool import ANYONE, EndpointPool
from .pool.health import CheckResult, HealthCheck, HealthStatus
from .pool.journal import Entry
from .pool.lease import FailedAttempt, Lease, PoolExecution
from .pool.monitor import HealthMonitor
from .pool.options import PoolOptions
from .pool.outliers import OutlierOptions
from .pool.stats import EndpointStats, PoolStats
from .provider import Provider
from .providers import Failover, functions, sync_functions
from .selection import ByExpectedTime, ByRegion, Request, Selection, Standing, Thompson, in_stages
from .stats import FailoverStats, ProviderStats
from .tally import Estimate
from .threads import in_thread

__all__ = [
    "ANYONE",
    "AllEndpointsFailed",
    "AllFailed",
    "AllProvidersFailed",
    "Attempt",
    "AuthFailed",
    "Balancer",
    "ByExpectedTime",
    "ByHash",
    "ByHealth",
    "ByRegion",
    "Call",
    "Caller",
    "Candidate",
    "CheckResult",
    "Discovery",
    "Endpoint",
    "EndpointPool",
    "EndpointStats",
    "Entry",
    "ErrorKind",
    "ErrorNote",
    "Estimate",
    "Execution",
    "FailOverOn",
    "Failed",
    "FailedAttempt",
    "Failover",
    "FailoverStats",
    "HealthCheck",
    "HealthMonitor",
    "HealthStatus",
    "Hooks",
    "Invalid",
    "Lease",
    "LeastConnections",
    "Location",
    "Method",
    "Nearest",
    "NoCandidate",
    "NotFound",
    "Outcome",
    "OutlierOptions",
    "PoolExecution",
    "PoolOptions",
    "PoolStats",
    "Provider",
    "ProviderStats",
    "Random",
    "Request",
    "RoundRobin",
    "Selection",
    "Source",
    "Standing",
    "Sticky",
    "Succeeded",
    "SyncMethod",
    "Thompson",
    "Throttled",
    "TwoChoices",
    "Weighted",
    "balancer",
    "distance",
    "expected_wait",
    "functions",
    "in_flight",
    "in_stages",
    "in_thread",
    "kind_of",
    "nothing_happened",
    "polled",
    "read_each",
    "static",
    "sync_functions",
    "unless_permanent",
]
