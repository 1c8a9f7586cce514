"""The sweeper's doorbell: rings for the workers, and does their work where they do not."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from holdfast.clock import Clock, system_clock
from holdfast.errors import Rejected, Transient
from holdfast.operations.model import Resource
from holdfast.operations.ports import Ring

log = logging.getLogger(__name__)


class FallbackDoorbell:
    """Rings for the workers, and replays in this process too where they cannot be told or do not come.

    workers:  rings for them; raises Transient or Rejected when it cannot.
    here:     replays in this process.
    patience: seconds. When the mailbox that is due the longest stays the same for so long, no worker is there, or none
              consumes: from then on what is due is replayed here too, until nothing is due any more.
    pause:    seconds without a ring from which it is taken that nothing was due meanwhile; longer than it takes from
              one sweep to the next.
    """

    def __init__(
        self, workers: Ring, here: Ring, *, patience: float = 10.0, pause: float = 2.0, clock: Clock = system_clock
    ) -> None:
        self._workers = workers
        self._here = here
        self._patience = patience
        self._pause = pause
        self._clock = clock
        self._first: Resource | None = None
        self._since = 0.0
        self._ended = clock.monotonic()
        self._silent = False
        self._told: str | None = None

    async def ring(self, resources: Sequence[Resource]) -> None:
        """resources: those that are due, the longest due first; all of them, or the first ones."""
        if not resources:
            return
        self._watch(resources[0])
        why = "the workers do not come" if self._silent else None
        try:
            await self._workers(resources)
        except (Transient, Rejected) as error:
            why = f"the workers cannot be told: {error}"
        self._tell(why)
        if why is not None:
            await self._here(resources)
        self._ended = self._clock.monotonic()

    def _watch(self, first: Resource) -> None:
        now = self._clock.monotonic()
        if now - self._ended > self._pause:
            self._first, self._silent = None, False
        if first != self._first:
            self._first, self._since = first, now
        if now - self._since >= self._patience:
            self._silent = True

    def _tell(self, why: str | None) -> None:
        """Log the change, not every ring."""
        if (why is None) != (self._told is None):
            log.warning("replaying here: %s", why) if why else log.info("the workers replay again")
        self._told = why
