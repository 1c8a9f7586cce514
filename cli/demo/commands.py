"""`holdfast demo`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator

import click
from rich.console import Console

from cli.errors import StackError
from cli.options import directory
from cli.stack.handle import Stack, private_stack
from cli.stack.layout import Layout

from .story import tell


@click.command()
@directory
def demo(layout: Layout) -> None:
    """Watch an outage, and see it proved that no write was lost.

    200 records are written, PostgreSQL is killed, 200 more are written and held, one is read from the cache,
    PostgreSQL is started, the backlog drains, and each of the 400 is counted. Exits with 0 only if all is right.

    It plays on the stack that runs in the directory, whose PostgreSQL it then kills and starts again. When none
    runs there, it starts one of its own, on free ports and in a temporary directory that is gone afterwards.
    """
    console = Console(highlight=False)
    with _stack(layout, console) as stack:
        if not tell(stack, console):
            sys.exit(1)


@contextlib.contextmanager
def _stack(layout: Layout, console: Console) -> Iterator[Stack]:
    running = Stack(layout.root)
    if _serves(running):
        console.print(f"Playing on the stack that runs in {layout.root}.")
        yield running
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        console.print("Starting a stack for this demo alone: PostgreSQL, two Valkeys, API, worker, sweeper …")
        with private_stack(folder) as own:
            console.print(f"It is ready: {own.url('api')}")
            yield own


def _serves(stack: Stack) -> bool:
    """Whether it runs, with a PostgreSQL of its own that may be killed."""
    try:
        return stack.processes()["postgres"]["state"] == "ready"
    except StackError:
        return False
