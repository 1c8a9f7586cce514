"""Waiting for an end that must have come, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def join(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Return when all have ended; a cancellation of the caller is raised only then."""
    futures = set(futures)
    cancelled: asyncio.CancelledError | None = None
    while pending := {future for future in futures if not future.done()}:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def stop(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel what still runs and return when all of it has ended."""
    tasks = set(tasks)
    for task in tasks:
        task.cancel()
    await join(tasks)


def cancelled_by_caller() -> bool:
    """Whether a CancelledError comes from outside of this task, and not from something that it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
