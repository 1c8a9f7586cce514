"""A whole stack for tests: every server and program for real, on free ports, in a temporary folder.

`Stack` (cli/stack/handle.py) gives URLs, and kills, freezes and starts by name.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from cli.stack.handle import Stack, private_stack
from cli.stack.layout import Layout
from cli.stack.log import tail
from cli.stack.plan import STORES

from .processes import free_port


@contextlib.contextmanager
def running_stack(folder: Path | None = None, **settings: str) -> Iterator[Stack]:
    """settings: environment variables of the stack, as `HOLDFAST_STORE_TIMEOUT="0.5"`.

    Without a folder it has a new one. Its logs are printed at its end: pytest shows them for a failed test.
    """
    with contextlib.ExitStack() as things:
        new = folder or Path(things.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-stack-")))
        things.callback(_print_logs, new)
        if folder is None:
            _choose_ports(Layout.at(new))
        yield things.enter_context(private_stack(new, settings=settings))


def _choose_ports(layout: Layout) -> None:
    """Before it does so by itself: another stack may have chosen the same, and not listen there yet or just now."""
    names = ("api", "worker", "sweeper", *STORES, "ledger", "cache")
    layout.ports.write_text(json.dumps({name: free_port() for name in names}))


def _print_logs(folder: Path, lines: int = 40) -> None:
    for path in sorted((folder / "log").glob("*.log")):
        click.echo("\n".join((f"\n--- {path.name}", *tail(path, lines))))
