"""The options of the ledger in Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..redis_server import RedisOptions


@dataclass(frozen=True, slots=True)
class RedisLedgerOptions(RedisOptions):
    """How to reach the server, which is no cluster; what it must promise; how much it holds, and for how long.

    prefix:       of every key.
    durability:   `verify` holds nothing in a server that may forget; `trust` does not ask it.
    max_waiting:  operations held at the same time, dead ones included.
    retention:    seconds for which a settled job is remembered, at least 1.
    retry_after:  seconds, told to whom a full ledger refuses.
    backlog_page: resources that one look at the backlog brings.
    """

    prefix: str = "holdfast:"
    durability: Literal["verify", "trust"] = "verify"
    max_waiting: int = 1_000_000
    retention: float = 86_400.0
    retry_after: float = 5.0
    backlog_page: int = 10_000

    def __post_init__(self) -> None:
        RedisOptions.__post_init__(self)
        if min(self.max_waiting, self.retention, self.backlog_page) < 1:
            raise ValueError(f"max_waiting, retention and backlog_page must be at least 1, got {self}")
