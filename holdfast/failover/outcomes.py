"""What became of a call, and of each one that was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Succeeded(Generic[T_co]):
    """The provider did it.

    tries:    how often it was called.
    duration: seconds in all, with the waits of its policy.

    >>> Succeeded("ses", "sent").tries
    1
    """

    provider: str
    result: T_co
    tries: int = 1
    duration: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider did not do it. tries: 0 when it was skipped without a call.

    >>> Failed("ses", TimeoutError(), tries=1).skipped
    False
    """

    provider: str
    error: Exception
    tries: int = 0
    duration: float = 0.0

    @property
    def skipped(self) -> bool:
        return self.tries == 0


Outcome: TypeAlias = Succeeded[T_co] | Failed


@dataclass(frozen=True, slots=True)
class Execution(Generic[T_co]):
    """A call that some provider did.

    outcomes: of all that were asked, in the order in which they ended.
    duration: seconds.

    >>> outcomes: tuple[Outcome[str], ...] = (Failed("postmark", TimeoutError(), tries=2), Succeeded("ses", "sent"))
    >>> execution = Execution("ses", "sent", outcomes, duration=0.5)
    >>> execution.failover_used, execution.tries
    (True, 3)
    """

    provider: str
    result: T_co
    outcomes: tuple[Outcome[T_co], ...]
    duration: float

    @property
    def failover_used(self) -> bool:
        """Whether another one failed, or was skipped, before."""
        return any(isinstance(outcome, Failed) for outcome in self.outcomes)

    @property
    def tries(self) -> int:
        """Calls made in all."""
        return sum(outcome.tries for outcome in self.outcomes)
