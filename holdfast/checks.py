"""How options are checked: one by one, so that the error names the one at fault and what it must be."""

from __future__ import annotations


def require(holds: bool, name: str, must_be: str, got: object, *, error: type[ValueError] = ValueError) -> None:
    """Raise `error` unless it holds.

    >>> require(False, "limit", "at least 1", 0)
    Traceback (most recent call last):
        ...
    ValueError: limit must be at least 1, got 0
    """
    if not holds:
        raise error(f"{name} must be {must_be}, got {got!r}")
