"""The Lua scripts of the ledger, one for each step."""

from __future__ import annotations

from importlib import resources

from ..redis_server import Script

NAMES = (
    "backlog",
    "cancel",
    "due",
    "gate",
    "hold",
    "jobs",
    "last_waiting",
    "lease",
    "list",
    "ping",
    "prune",
    "retry",
    "settle",
    "stats",
    "waiting",
)
_CHANGES_MAILBOXES = frozenset({"hold", "lease", "settle", "cancel", "retry"})


def load(name: str) -> Script:
    """The script of that name: its first line, which must be first, what all of them share, and the rest."""
    first, _, rest = _text(name).partition("\n")
    shared = [_text("common"), _text("changes")] if name in _CHANGES_MAILBOXES else [_text("common")]
    return Script("\n".join([first, *shared, rest]))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
