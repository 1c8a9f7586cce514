"""Replicas of the primary, for reads while it cannot be asked itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from psycopg.conninfo import conninfo_to_dict

from holdfast.errors import Transient
from holdfast.events import Event, Listener, fan_out
from holdfast.failover import Endpoint, EndpointPool, OutlierOptions, PoolOptions
from holdfast.operations.guard import classify
from holdfast.operations.model import Resource
from holdfast.operations.ports import Cached
from holdfast.timeout import abandon_after

from .options import PostgresOptions
from .store import PostgresStore

log = logging.getLogger(__name__)

_MOST_ATTEMPTS = 3
# All of them may be out at once: there is still the cache, and nobody waits for the dead.
_OUTLIERS = OutlierOptions(consecutive_failures=3, ejection=5.0, longest_ejection=60.0, most_ejected=1.0)


class PostgresReplicas:
    """Asks the one with the fewest calls under way, then the next; leaves alone for a while what keeps failing.

    options: one for each, at least one. timeout: seconds after which one is given up, more than 0.
    listener: told what an EndpointPool tells.

    Connects at the first call. Raises psycopg.ProgrammingError at once for a URL that libpq cannot read.
    """

    def __init__(self, options: Sequence[PostgresOptions], *, timeout: float, listener: Listener | None = None) -> None:
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be more than 0 and finite, got {timeout}")
        self._timeout = timeout
        self._stores = {f"replica {number}": PostgresStore(each) for number, each in enumerate(options, 1)}
        self._pool = EndpointPool(
            "replicas",
            [_endpoint(id_, each) for id_, each in zip(self._stores, options, strict=True)],
            strategy="least_connections",
            options=PoolOptions(attempts=min(_MOST_ATTEMPTS, len(options)), outliers=_OUTLIERS),
            fail_over_on=lambda error: isinstance(error, Transient),
            classify=classify,
            listener=fan_out(_log_change, listener) if listener else _log_change,
        )

    async def read(self, resources: Sequence[Resource]) -> list[Cached | None]:
        """Raises AllEndpointsFailed, or NoCandidate while all are left alone: Transient, both of them."""
        return (await self._pool.aexecute_with_failover(lambda endpoint: self._ask(endpoint, resources))).result

    async def close(self) -> None:
        for store in self._stores.values():
            await store.close()

    async def _ask(self, endpoint: Endpoint, resources: Sequence[Resource]) -> list[Cached | None]:
        return await abandon_after(self._timeout, self._stores[endpoint.id].read_copies(resources))


def _endpoint(id_: str, options: PostgresOptions) -> Endpoint:
    """The endpoint that shows where a URL leads; only for show, since libpq connects, and may know several hosts."""
    given = conninfo_to_dict(options.url)
    host = str(given.get("host") or "").partition(",")[0]
    port = str(given.get("port") or "").partition(",")[0]
    return Endpoint(id_, "localhost" if not host or "/" in host else host, int(port or 5432), protocol="postgresql")


def _log_change(event: Event) -> None:
    if event.name == "endpoint.ejected":
        log.warning("%s of the store keeps failing and is left alone for a while", event.attributes["endpoint"])
    elif event.name == "endpoint.restored":
        log.warning("%s of the store is asked again", event.attributes["endpoint"])
