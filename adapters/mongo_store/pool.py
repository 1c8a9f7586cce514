"""How many connections there are, by what the driver tells of each: it has no count of its own to be asked for."""

from __future__ import annotations

from typing import Any

from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
)

from holdfast.operations.ports import Pool


class PoolCount(ConnectionPoolListener):
    """The connections of one client to all of its servers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._used = 0

    def pool(self) -> Pool:
        return Pool(self._used, max(0, self._open - self._used), self._most)

    def connection_created(self, event: ConnectionCreatedEvent) -> None:  # noqa: ARG002
        self._open += 1

    def connection_closed(self, event: ConnectionClosedEvent) -> None:  # noqa: ARG002
        self._open -= 1

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:  # noqa: ARG002
        self._used += 1

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:  # noqa: ARG002
        self._used -= 1

    def _nothing(self, event: Any) -> None:
        """Events that change no count."""

    pool_created = pool_ready = pool_cleared = pool_closed = _nothing
    connection_ready = connection_check_out_started = connection_check_out_failed = _nothing
