"""What both processes do first."""

from __future__ import annotations

import os
import sys

from adapters import logs
from adapters.settings import Settings, load_or_exit
from adapters.settings.load import EXIT_WRONG_SETTINGS
from adapters.telemetry import log_processors


def settings_of(what: str) -> Settings:
    """The settings, with logs set up; the end of the process where they are wrong or leave it nothing to do."""
    settings = load_or_exit()
    logs.configure(settings.log_level, settings.log_format, log_processors(os.environ))
    if settings.store == "memory":
        sys.stderr.write(f"HOLDFAST_STORE=memory needs no {what}: the API replays by itself in the memory profile\n")
        raise SystemExit(EXIT_WRONG_SETTINGS)
    return settings
