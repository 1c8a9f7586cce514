"""Circuit breaker: stop calling what fails, and notice when it is back.

Source: M. Nygard, "Release It!" (2007), chapter 5; the rates over a window follow resilience4j.
"""

from .breaker import CircuitBreaker
from .options import BreakerOptions, Verdict, classify
from .permit import Permit
from .report import Failure, Snapshot
from .states import State

__all__ = ["BreakerOptions", "CircuitBreaker", "Failure", "Permit", "Snapshot", "State", "Verdict", "classify"]
