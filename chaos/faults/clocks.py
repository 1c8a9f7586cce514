"""Wall clocks that are wrong. Targets are `api`, `worker` and `sweeper`; inside/sitecustomize.py is the other half."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ..system import System


@asynccontextmanager
async def clock(system: System, target: str, options: Mapping[str, Any]) -> AsyncIterator[None]:
    """It jumps by `seconds`, ahead or, below 0, back, and at the end to where it was."""
    path = system.folder / f"{target}.clock"
    with path.open("r+b") as file:
        file.write(struct.pack("d", float(options.get("seconds", 3600))))
    try:
        yield
    finally:
        with path.open("r+b") as file:
            file.write(struct.pack("d", 0.0))
