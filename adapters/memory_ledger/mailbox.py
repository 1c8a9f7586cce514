"""Operations that are held, and the mailboxes in which they wait."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from holdfast.operations.model import Job, Operation, Outcome, State


@dataclass(slots=True)
class Entry:
    """What is known of one operation.

    stamp:   its place in listings; a later one with each hold, settling and retry.
    held_at: when it was held, or retried after it was dead; seconds since the epoch.
    blocks:  it is dead, and those behind it wait.
    """

    operation: Operation
    stamp: int
    held_at: float
    state: State = State.QUEUED
    attempts: int = 0
    last_error: str | None = None
    settled_at: float | None = None
    outcome: Outcome | None = None
    unsure: bool = False
    blocks: bool = False

    @property
    def waits(self) -> bool:
        return self.state in (State.QUEUED, State.RETRYING)

    def job(self, next_attempt_at: float | None) -> Job:
        return Job(
            self.operation,
            self.state,
            self.attempts,
            next_attempt_at,
            self.last_error,
            self.settled_at,
            self.outcome,
            self.unsure,
        )


@dataclass(slots=True)
class Mailbox:
    """The held operations of one resource, oldest first.

    entered: the stamp of when it was last filled from empty.
    due:     when it may be leased, seconds since the epoch; infinity while a dead one blocks it.
    token:   of the lease that was given last, None once that was ended.
    leased:  how many operations that lease has.
    """

    entered: int
    due: float
    entries: list[Entry]
    token: str | None = None
    leased: int = 0

    @property
    def blocked(self) -> bool:
        """Whether its head is dead."""
        return bool(self.entries) and self.entries[0].state.settled

    def lease(self, depth: int, token: str, until: float) -> list[Entry]:
        """Lease its oldest, up to one that is dead."""
        self._stop(unsure=True)
        leased = list(takewhile(lambda entry: not entry.state.settled, self.entries[:depth]))
        for entry in leased:
            entry.state = State.RUNNING
        self.due, self.token, self.leased = until, token, len(leased)
        return leased

    def end_lease(self, due: float) -> None:
        self._stop(unsure=False)
        self.token, self.leased = None, 0
        if not self.blocked:
            self.due = due

    def _stop(self, *, unsure: bool) -> None:
        """unsure: the holder let the lease run out, and may have applied what he had."""
        for entry in self.entries[: self.leased]:
            if entry.state is State.RUNNING:
                entry.state = State.RETRYING
                entry.unsure = entry.unsure or unsure
