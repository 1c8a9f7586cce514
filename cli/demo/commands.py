"""`holdfast demo`."""

from __future__ import annotations

import sys

import click

from cli.options import directory
from cli.stack.layout import Layout


@click.command()
@directory
def demo(layout: Layout) -> None:
    """Watch an outage, and see it proved that no write was lost.

    200 records are written, the database is killed, 200 more are written and held, one is read from the cache, the
    database is started, the backlog drains, and each of the 400 is counted. Exits with 0 only if all is right.

    It plays on the stack that runs in the directory, whose database it then kills and starts again. When none runs
    there, it starts one of its own (with MongoDB where HOLDFAST_STORE=mongo), on free ports and in a temporary
    directory that is gone afterwards.
    """
    from .play import play  # rich and httpx take long to import, and the other commands need neither

    if not play(layout):
        sys.exit(1)
