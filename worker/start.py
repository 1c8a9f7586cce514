"""What both processes do first."""

from __future__ import annotations

import os
from typing import NamedTuple

from adapters import logs
from adapters.exits import WRONG_SETTINGS, end
from adapters.settings import Settings, load_or_exit
from adapters.telemetry import Lines, lines_of


class Start(NamedTuple):
    """What a process begins with. lines: to be closed at its end."""

    settings: Settings
    lines: Lines


def start(what: str) -> Start:
    """The settings, with logs set up; the end of the process where they are wrong or leave it nothing to do."""
    settings = load_or_exit()
    lines = lines_of(what, os.environ)
    logs.configure(settings.log_level, settings.log_format, lines.add, lines.send)
    if settings.store == "memory":
        end(f"HOLDFAST_STORE=memory needs no {what}: the API replays by itself in the memory profile", WRONG_SETTINGS)
    return Start(settings, lines)
