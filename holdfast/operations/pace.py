"""How fast a backlog drains: as fast as store and ledger bear without the fresh traffic feeling it.

Additive increase, multiplicative decrease on the number of operations of a batch, steered by how long the slower of the
two takes for one; and a rest after each batch in proportion, so that a drain never takes all of either.
Source of the control: D.-M. Chiu and R. Jain, "Analysis of the increase and decrease algorithms for congestion
avoidance in computer networks" (1989).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaceOptions:
    """How the size of a drain's batches follows the time that they take.

    smallest: operations of a batch at least, at the beginning, and after an outage.
    largest:  operations of a batch at most.
    target:   seconds that a batch may take at the store or at the ledger; beyond that, batches get smaller.
    step:     operations by which they grow after a quick one.
    shrink:   what is left of their size after a slow one, between 0 and 1.
    rest:     the pause after a batch, as a multiple of the time that it took.
    """

    smallest: int = 16
    largest: int = 1024
    target: float = 0.02
    step: int = 32
    shrink: float = 0.5
    rest: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.largest or self.step < 1:
            raise ValueError(f"1 <= smallest <= largest and step >= 1 are needed, got {self}")
        if self.target <= 0 or not 0 < self.shrink < 1 or self.rest < 0:
            raise ValueError(f"target > 0, 0 < shrink < 1 and rest >= 0 are needed, got {self}")


class Pace:
    """The adaptive limit of one drain."""

    def __init__(self, options: PaceOptions | None = None) -> None:
        self._options = options or PaceOptions()
        self.size = self._options.smallest

    def took(self, seconds: float) -> float:
        """Note how long a batch took at the slower of the two; return the seconds to rest before the next."""
        options = self._options
        if seconds > options.target:
            self.size = max(options.smallest, int(self.size * options.shrink))
        else:
            self.size = min(options.largest, self.size + options.step)
        return seconds * options.rest

    def failed(self) -> None:
        """The store was not there: begin gently when it is back."""
        self.size = self._options.smallest
