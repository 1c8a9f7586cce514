"""On which stack the story is told."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

import httpx
from rich.console import Console

from cli.errors import StackError
from cli.stack.handle import Stack, private_stack
from cli.stack.layout import Layout

from .story import tell


def play(layout: Layout) -> bool:
    """Tell the story on the stack that runs there, or else on a new one; say whether all came out right."""
    console = Console(highlight=False)
    with _stack(layout, console) as stack:
        try:
            return tell(stack, console)
        except httpx.HTTPError as error:
            raise StackError(f"the demo ends here, by an answer that it did not expect: {error}") from error


@contextlib.contextmanager
def _stack(layout: Layout, console: Console) -> Iterator[Stack]:
    running = Stack(layout.root)
    if _serves(running):
        console.print(f"Playing on the stack that runs in {layout.root}.")
        yield running
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        console.print("Starting a stack for this demo alone: a database, two Valkeys, API, worker, sweeper …")
        store = os.environ.get("HOLDFAST_STORE")
        with private_stack(folder, settings={"HOLDFAST_STORE": store} if store else None) as own:
            console.print(f"It is ready: {own.url('api')}")
            yield own


def _serves(stack: Stack) -> bool:
    """Whether it runs, with a database of its own that may be killed."""
    try:
        return bool(stack.processes()[stack.store()]["state"] == "ready")
    except StackError:
        return False
