"""What goes wrong with a run itself, not with the system under test."""

from __future__ import annotations


class ScenarioError(ValueError):
    """A scenario cannot be read, and why."""


class Impossible(Exception):
    """A scenario needs something that this machine does not have, and what."""


class Unfinished(Exception):
    """The system did not come to rest in time, and what is missing."""
