"""The ledger in this process's memory: for the memory profile, and the model that the others are compared with.

What it holds is gone when the process ends.
"""

from .ledger import MemoryLedger

__all__ = ["MemoryLedger"]
