"""The options of the ledger in Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class RedisLedgerOptions:
    """How to reach the server, what it must promise, and how much it holds for how long.

    url:             `redis://`, `rediss://` or `unix://`, with the database and the credentials. Not a cluster.
    prefix:          of every key.
    pool_size:       connections at most.
    connect_timeout: seconds for a connection to be made.
    timeout:         seconds for a free connection, and again for an answer.
    durability:      `verify` holds nothing in a server that may forget; `trust` does not ask it.
    max_waiting:     operations held at the same time, dead ones included.
    retention:       seconds for which a settled job is remembered, at least 1.
    retry_after:     seconds, told to whom a full ledger refuses.
    backlog_page:    resources that one look at the backlog brings.
    """

    url: str = field(repr=False)
    prefix: str = "holdfast:"
    pool_size: int = 16
    connect_timeout: float = 0.5
    timeout: float = 1.0
    durability: Literal["verify", "trust"] = "verify"
    max_waiting: int = 1_000_000
    retention: float = 86_400.0
    retry_after: float = 5.0
    backlog_page: int = 10_000

    def __post_init__(self) -> None:
        if min(self.max_waiting, self.retention, self.backlog_page) < 1:
            raise ValueError(f"max_waiting, retention and backlog_page must be at least 1, got {self}")
