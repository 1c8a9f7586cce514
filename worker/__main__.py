"""`python -m worker`: consume doorbells and replay."""

from __future__ import annotations

from .app import run
from .start import settings_of

if __name__ == "__main__":
    raise SystemExit(run(settings_of("worker")))
