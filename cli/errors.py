"""What goes wrong in a way that the person at the keyboard can mend."""

from __future__ import annotations

import click


class StackError(click.ClickException):
    """Shown as `Error: <message>`; the command exits with 1."""


class KeysError(click.ClickException):
    """About the file of keys; shown as `Error: <message>`, and the command exits with 1."""
