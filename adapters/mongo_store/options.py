"""What a person may set about the connections to MongoDB."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MongoOptions:
    """How to reach MongoDB, and for how long to wait for it. Times are seconds.

    url:       `mongodb://user:password@host:port/database?tls=true&tlsCAFile=...`, or mongodb+srv; several hosts may be
               named; without a database it is `holdfast`. What must be so for the store to be right (write and read
               concern, no retries by the driver, the primary) is not taken from it.
    pool_size: most connections of one store, to each server.
    timeout:   a call is given up after this, and what of it has reached the server ends by itself about then.
    patience:  wait for records that others keep changing.
    """

    url: str = field(repr=False)
    pool_size: int = 8
    timeout: float = 1.0
    patience: float = 0.5

    def __post_init__(self) -> None:
        if self.pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, got {self.pool_size}")
        if not 0 < self.patience <= self.timeout:
            raise ValueError(f"patience must be more than 0 and not longer than timeout, got {self}")
