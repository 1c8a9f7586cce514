"""`holdfast stack …`: run a stack, and steer the one that runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from dotenv import dotenv_values

from cli.errors import StackError
from cli.options import directory

from . import control
from .layout import Layout
from .log import added, tail
from .plan import NAMES, STORE, STORES
from .up import up as run_stack

_name = click.argument("name")


@click.group()
def stack() -> None:
    """Run Holdfast on this machine: private servers, API, worker and sweeper.

    One terminal runs it (`up`); the other commands steer it from any other terminal. NAME is one of api, worker,
    sweeper, postgres (mongo, where HOLDFAST_STORE=mongo; `store` is either), ledger, cache and broker; the broker is
    the ledger's server.
    """


@stack.command()
@directory
@click.option("--no-logs", is_flag=True, help="Do not show the logs once all is ready.")
def up(layout: Layout, no_logs: bool) -> None:
    """Start everything, wait until it is ready, show the logs, and end it all on Ctrl-C.

    Data survives in the directory. A process that dies by itself is started again.

    \b
    HOLDFAST_API_PORT        where the API listens; 8000, 0 for any free port
    HOLDFAST_STORE           where records live: postgres or mongo
    HOLDFAST_POSTGRES_PORT, HOLDFAST_MONGO_PORT, HOLDFAST_LEDGER_PORT, HOLDFAST_CACHE_PORT
                             where the servers listen; free ports, the same ones at each start
    HOLDFAST_WORKER_PORT, HOLDFAST_SWEEPER_PORT
                             where worker and sweeper serve /metrics; likewise
    HOLDFAST_POSTGRES_URL, HOLDFAST_MONGO_URL, HOLDFAST_LEDGER_URL, HOLDFAST_BROKER_URL, HOLDFAST_CACHE_URL
                             a server to use instead; none is started for it

    These and all settings of the services come from the environment, or from the file `.env` here.
    """
    set_in_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    run_stack(layout, set_in_file | dict(os.environ), logs=not no_logs)


@stack.command()
@directory
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as in run/stack.json but with states.")
def ps(layout: Layout, as_json: bool) -> None:
    """Show every process: its state, pid and URL.

    States: starting, ready, frozen, fallen (died, will be started again), down (until `start`), external.
    """
    answer = control.ask(layout.run, {"command": "ps"})
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(f"{'NAME':<9} {'STATE':<9} {'PID':>7} {'RESTARTS':>9}  URL")
    for row in answer["processes"]:
        click.echo(_row(row))


def _row(row: dict[str, Any]) -> str:
    pid, url = row["pid"] or "-", row["url"] or "-"
    return f"{row['name']:<9} {row['state']:<9} {pid:>7} {row['restarts']:>9}  {url}"


def _steering(command: str) -> Callable[[Layout, str], None]:
    @_name
    @directory
    def steer(layout: Layout, name: str) -> None:
        answer = control.ask(layout.run, {"command": command, "name": name})
        click.echo(f"{name} is {answer['process']['state']}")

    return steer


for _command, _help in {
    "start": "Start NAME again and return when it is ready.",
    "stop": "Ask NAME to end and return when it has; it stays down until `start`.",
    "kill": "Kill NAME and its children (SIGKILL); it stays down until `start`.",
    "freeze": "Freeze NAME and its children (SIGSTOP): its connections stay, answers do not come.",
    "thaw": "Let a frozen NAME go on (SIGCONT).",
}.items():
    stack.command(_command, help=_help)(_steering(_command))


@stack.command()
@_name
@directory
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="How many lines to show.")
@click.option("-f", "--follow", is_flag=True, help="Show what comes, until Ctrl-C.")
def logs(layout: Layout, name: str, lines: int, follow: bool) -> None:
    """Show the log of NAME, also after the stack has ended."""
    path = _log(layout, name)
    new = added(path) if follow else iter(())
    with contextlib.suppress(KeyboardInterrupt):
        for line in itertools.chain(tail(path, lines), new):
            click.echo(line)


def _log(layout: Layout, name: str) -> Path:
    names = (*NAMES, STORE, "settings", "migrate")
    if name not in names:
        raise StackError(f"there is no {name!r}; the names are {', '.join(names)}")
    if name == STORE:
        logs = [path for store in STORES if (path := layout.log / f"{store}.log").exists()]
        name = max(logs, key=lambda path: path.stat().st_mtime).stem if logs else name
    path = layout.log / f"{name}.log"
    if name == "broker" and not path.exists():
        path = layout.log / "ledger.log"
    if not path.exists():
        raise StackError(f"there is no log of {name} in {layout.log}")
    return path
