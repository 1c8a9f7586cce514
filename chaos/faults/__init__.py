"""What can be broken. Each fault breaks on entry and heals on exit, whatever ends the time in between.

`FAULTS` names them all; the targets of each are in its docstring. Raises Impossible where this machine cannot do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from ..scenario import Step
from ..system import System
from . import clocks, network, postgres, processes, redis

Fault = Callable[[System, str, Mapping[str, Any]], AbstractAsyncContextManager[None]]

FAULTS: Mapping[str, Fault] = {
    "kill": processes.kill,
    "stop": processes.stop,
    "freeze": processes.freeze,
    "kill-parent": processes.kill_parent,
    "freeze-parent": processes.freeze_parent,
    "kill-child": processes.kill_child,
    "freeze-child": processes.freeze_child,
    "terminate": postgres.terminate,
    "read-only": postgres.read_only,
    "exhaust": postgres.exhaust,
    "lock": postgres.lock,
    "disk-full": postgres.disk_full,
    "disconnect": redis.disconnect,
    "fill": redis.fill,
    "empty": redis.empty,
    "drop-messages": redis.drop_messages,
    "double-messages": redis.double_messages,
    "latency": network.latency,
    "blackhole": network.blackhole,
    "half-open": network.half_open,
    "reset": network.reset,
    "slow-close": network.slow_close,
    "down": network.down,
    "clock": clocks.clock,
}

PROCESSES = frozenset(
    {"kill", "stop", "freeze", "kill-parent", "freeze-parent", "kill-child", "freeze-child", "disk-full"}
)
NETWORK = frozenset({"latency", "blackhole", "half-open", "reset", "slow-close", "down"})


def broken(system: System, step: Step) -> AbstractAsyncContextManager[None]:
    """The step's fault, for as long as the context lasts."""
    return FAULTS[step.fault](system, step.target, step.options)
