"""Processes that die or stand still. Targets are the names of `holdfast stack`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil

from ..system import System

_Options = Mapping[str, Any]


@asynccontextmanager
async def kill(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """SIGKILL to all its processes; it stays down."""
    try:
        await system.steer("kill", target)
        yield
    finally:
        await system.steer("start", target)


@asynccontextmanager
async def stop(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """It is asked to end, as in a deployment, and stays down."""
    try:
        await system.steer("stop", target)
        yield
    finally:
        await system.steer("start", target)


@asynccontextmanager
async def freeze(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """SIGSTOP to all its processes."""
    try:
        await system.steer("freeze", target)
        yield
    finally:
        await system.steer("thaw", target)


@asynccontextmanager
async def kill_parent(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """SIGKILL to its first process alone, which is started again by whoever looks after it."""
    (await system.process(target)).kill()
    yield
    await system.until_ready(target)


@asynccontextmanager
async def freeze_parent(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """SIGSTOP to its first process alone; its children go on."""
    parent = await system.process(target)
    parent.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            parent.resume()


@asynccontextmanager
async def kill_child(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """SIGKILL to its youngest child: a worker's process that replays, a backend of PostgreSQL."""
    with suppress(psutil.NoSuchProcess):
        (await _youngest_child(system, target)).kill()
    yield
    await system.until_ready(target)


@asynccontextmanager
async def freeze_child(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """SIGSTOP to its youngest child."""
    child = await _youngest_child(system, target)
    child.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            child.resume()


async def _youngest_child(system: System, target: str) -> psutil.Process:
    parent = await system.process(target)
    return max(parent.children(recursive=True), key=lambda child: (child.create_time(), child.pid), default=parent)
