"""Metrics for Prometheus. Each program serves its own; docs/reference/metrics.md names them all."""

from .children import Children
from .metrics import Metrics
from .server import CannotServe, MetricsServer
from .timed import timed, watched

__all__ = ["CannotServe", "Children", "Metrics", "MetricsServer", "timed", "watched"]
