"""What happened lately, kept for whoever looks and told to whoever listens."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ...clock import Clock
from ...events import Event, Listener, emit


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of a pool, and when it happened. at: seconds since the epoch.

    >>> from holdfast.failover import Endpoint, EndpointPool
    >>> entry: Entry = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200)]).events()[0]
    >>> entry.event.name
    'endpoint.registered'
    """

    at: float
    event: Event


class Journal:
    """The last `size` events."""

    def __init__(self, size: int, clock: Clock, listener: Listener | None) -> None:
        self._clock = clock
        self._listener = listener
        self._entries = deque[Entry](maxlen=size)

    def tell(self, *events: Event) -> None:
        """Write them down and pass them on; outside of every lock, since a listener may call back."""
        for event in events:
            self._entries.append(Entry(self._clock.time(), event))
            emit(self._listener, event)

    def read(self, limit: int) -> list[Entry]:
        """The latest, newest first."""
        return list(reversed(self._entries.copy()))[:limit]
