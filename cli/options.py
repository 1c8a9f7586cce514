"""Options that several commands share."""

from __future__ import annotations

import click

from cli.stack.layout import Layout

directory = click.option(
    "--dir",
    "layout",
    default="var",
    show_default=True,
    callback=lambda _context, _option, value: Layout.at(value),
    help="Where the stack keeps its data, logs and state.",
)
