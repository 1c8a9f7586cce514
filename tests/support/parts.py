"""What the engine runs on in a test of the whole of it; a flawed one has another part here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapters.memory_cache import MemoryCache
from adapters.memory_ledger import MemoryLedger
from adapters.memory_store import MemoryStore
from holdfast.testing.clock import FakeClock

from .engine import World


@dataclass(frozen=True, slots=True)
class Parts:
    """prepare: is given each process before it begins. sweeps: whether there is a sweeper."""

    store: Callable[[FakeClock], MemoryStore] = lambda clock: MemoryStore(clock=clock)
    ledger: Callable[[FakeClock], MemoryLedger] = lambda clock: MemoryLedger(clock=clock)
    cache: Callable[[], MemoryCache] = MemoryCache
    prepare: Callable[[World], object] = lambda world: None
    sweeps: bool = True
