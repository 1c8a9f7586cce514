"""Failover: if one cannot do it, ask another. Among providers of one contract, and among endpoints of one service."""

from ..errors import Throttled
from .attempts import Attempt, ErrorNote
from .balancing import (
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
from .discovery import Discovery, Source, polled, read_each, static
from .endpoint import Endpoint, Location
from .endpoints import ANYONE, EndpointPool
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
from .health import CheckResult, HealthCheck, HealthStatus
from .hooks import Call, Hooks
from .joining import in_thread
from .journal import Entry
from .lease import FailedAttempt, Lease, PoolExecution
from .method import Method, SyncMethod
from .monitor import HealthMonitor
from .outcomes import Execution, Failed, Outcome, Succeeded
from .outliers import OutlierOptions
from .pool_options import PoolOptions
from .pool_stats import EndpointStats, PoolStats
from .provider import Provider
from .providers import Failover, functions, sync_functions
from .selection import ByExpectedTime, ByRegion, Request, Selection, Standing, Thompson, in_stages
from .stats import FailoverStats, ProviderStats
from .tally import Estimate

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
