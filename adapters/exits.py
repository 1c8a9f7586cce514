"""How a program ends that cannot begin: with the reason on standard error, and a code that supervisors can go by."""

from __future__ import annotations

import sys
from typing import Never

WRONG_SETTINGS = 2
CANNOT_LISTEN = 3


def end(reason: str, code: int) -> Never:
    """End the process with this exit code. reason: what is wrong and what to do, for a person."""
    sys.stderr.write(f"{reason}\n")
    raise SystemExit(code) from None
