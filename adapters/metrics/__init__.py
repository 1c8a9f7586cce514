"""Metrics for Prometheus. Each program serves its own; docs/reference/metrics.md names them all."""

from .children import Children
from .metrics import Metrics
from .push import Push, from_thread, push_of
from .push import wanted as push_wanted
from .server import CannotServe, MetricsServer
from .timed import timed, watched

__all__ = [
    "CannotServe",
    "Children",
    "Metrics",
    "MetricsServer",
    "Push",
    "from_thread",
    "push_of",
    "push_wanted",
    "timed",
    "watched",
]
