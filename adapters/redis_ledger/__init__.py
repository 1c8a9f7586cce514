"""The ledger in Redis or Valkey. How it is kept there: docs/explanation/ledger.md."""

from .ledger import RedisLedger
from .options import RedisLedgerOptions

__all__ = ["RedisLedger", "RedisLedgerOptions"]
