"""How much of everything a request may bring or ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """body: bytes. id: characters. depth: levels of nesting. page, longest_page: items."""

    body: int = 1_048_576
    id: int = 255
    depth: int = 32
    page: int = 100
    longest_page: int = 1000
