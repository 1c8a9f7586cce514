"""What goes wrong with a run itself, not with the system under test."""

from __future__ import annotations

import click


class ScenarioError(click.ClickException):
    """A scenario cannot be read, and why. Shown as `Error: <message>`."""


class Impossible(Exception):
    """A scenario needs something that this machine does not have, and what."""


class Unfinished(Exception):
    """The system did not come to rest in time, and what is missing."""
