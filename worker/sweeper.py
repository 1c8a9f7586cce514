"""`python -m worker.sweeper`: ring for what is due, prune what is old, and replay where no worker does."""

from __future__ import annotations

import asyncio
import logging
import signal

from adapters.assembly import Role, assemble
from adapters.settings import Settings

from .metrics import SweeperMetrics
from .ready import ReadyFile
from .start import start

log = logging.getLogger("worker.sweeper")


async def serve(settings: Settings) -> int:
    """Sweep until SIGTERM or SIGINT; return the exit code."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    ready = ReadyFile(settings.ready_file)
    system = assemble(settings, Role.SWEEPER)
    metrics = SweeperMetrics(settings, system)
    await system.start(Role.SWEEPER)
    ready.make()
    log.info("sweeping")
    try:
        await ended.wait()
    finally:
        ready.remove()
        await asyncio.to_thread(metrics.close)
        await system.close()
    log.info("ended")
    return 0


def main() -> int:
    settings, lines = start("sweeper")
    try:
        return asyncio.run(serve(settings))
    finally:
        lines.close()


if __name__ == "__main__":
    raise SystemExit(main())
