"""`python -m worker`: consume doorbells and replay."""

from __future__ import annotations

from .app import run
from .start import start

if __name__ == "__main__":
    raise SystemExit(run(*start("worker")))
