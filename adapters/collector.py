"""Python's collector of cycles, in a process that serves for long."""

from __future__ import annotations

import gc


def calm_the_collector() -> None:
    """Have it leave alone what is there by now, and look less often at what comes.

    Requests and batches leave hardly any cycles; to look for them at every 700 objects costs a sixth of the time of a
    write, and a fourteenth of that of a replay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 100)
