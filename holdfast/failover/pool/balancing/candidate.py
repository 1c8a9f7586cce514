"""Those to choose from, and who asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from ...tally import Estimate
from ..endpoint import Endpoint, Location
from ..health import HealthStatus


class Candidate(Protocol):
    """An endpoint that could be chosen now, as a balancer sees it.

    number:    the order in which endpoints were registered; never used twice.
    token:     64 bits that follow from its id alone, the same in every process.
    in_flight: calls that it is answering at this moment.
    credit:    for the balancer to write on; 0 at first.
    """

    number: int
    token: int
    in_flight: int
    credit: float

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def status(self) -> HealthStatus: ...

    def recent(self) -> Estimate:
        """How calls went of late, as of now."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as it matters to the choice.

    key:      what a hash goes by: a client's IP address, a tenant, a shard.
    session:  what sticks to one endpoint.
    location: where the caller is; region: the name of that place.
    tags:     words that the endpoint must have, all of them.

    >>> def first(candidates: Sequence[Candidate], caller: Caller) -> Candidate:
    ...     return candidates[0]
    >>> strategy: Balancer = first
    """

    key: str | None = None
    session: str | None = None
    location: Location | None = None
    region: str | None = None
    tags: frozenset[str] = frozenset()


# Called under the pool's lock, with at least one candidate: quick, and without calling the pool.
Balancer = Callable[[Sequence[Candidate], Caller], Candidate]


def hash64(text: str) -> int:
    """64 evenly spread bits of a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
