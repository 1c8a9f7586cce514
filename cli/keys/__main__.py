"""`python -m cli.keys`: `holdfast keys`, where nothing of the local stack is installed."""

from __future__ import annotations

from .commands import keys

if __name__ == "__main__":
    keys(prog_name="holdfast keys")
