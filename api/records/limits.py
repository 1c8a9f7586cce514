"""How much of everything a request may bring or ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest body (bytes), the longest id (characters), the deepest nesting (levels), and items of a page.

    page: where the request names no limit. longest_page: the most that it may name.
    """

    body: int = 1_048_576
    id: int = 255
    depth: int = 32
    page: int = 100
    longest_page: int = 1000
