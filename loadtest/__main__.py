"""`python -m loadtest SHAPE`: load on a stack of its own, or on one that runs; the exit code says whether it held."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import httpx

from cli.errors import StackError
from cli.stack.handle import private_stack

from .shapes import shapes

_LOCUSTFILE = Path(__file__).parent / "locustfile.py"
_SHAPES = "\n".join(f"  {name:<8} {shape.text} ({shape.seconds:g} s)" for name, shape in shapes().items())


@click.command(epilog=f"\b\nShapes:\n{_SHAPES}", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("shape", type=click.Choice([*shapes()]))
@click.option("--users", default=50, show_default=True, type=click.IntRange(1), help="Users at most.")
@click.option(
    "--rate",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Of one user, requests per second.",
)
@click.option("--seconds", type=click.FloatRange(5), help="How long the load lasts; each shape has its own.")
@click.option("--host", help="URL of an API that runs; without it, a stack is started for the run and ended with it.")
@click.option("--store-down", default="", help="With --host and the shape outage: the command that kills the store.")
@click.option("--store-up", default="", help="With --host and the shape outage: the command that starts it again.")
@click.option("--report", type=click.Path(dir_okay=False), help="Write an HTML report to this file.")
@click.option("--page", type=click.IntRange(1, 65535), help="Serve Locust's own page on this port, and start there.")
def main(
    shape: str,
    users: int,
    rate: float,
    seconds: float | None,
    host: str | None,
    store_down: str,
    store_up: str,
    report: str | None,
    page: int | None,
) -> None:
    """Put load on Holdfast, and reckon up every write at the end.

    Exit code 0: every limit was kept, no write was lost, none took effect twice. 1: not so. 2: it could not be run.
    Requests carry the key in HOLDFAST_API_KEY, if there is one.
    """
    command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--shape", shape, "--rate", str(rate)]
    command += ["--users", str(users), "--stop-timeout", "30"]
    command += ["--run-time", f"{seconds or shapes()[shape].seconds:g}s"]
    command += ["--html", report] if report else []
    command += ["--web-port", str(page)] if page else ["--headless", "--only-summary"]
    try:
        with _target(host, store_down, store_up) as target:
            raise SystemExit(_run([*command, *target]))
    except StackError as error:
        raise SystemExit(_failed(str(error))) from error


@contextlib.contextmanager
def _target(host: str | None, store_down: str, store_up: str) -> Iterator[list[str]]:
    """Where the load goes, and how the store there is killed and started."""
    if host:
        _check(host)
        yield ["--host", host, "--store-down", store_down, "--store-up", store_up]
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-load-") as folder, private_stack(folder) as stack:
        click.echo(f"The stack runs in {folder}.")
        steer = shlex.join([sys.executable, "-m", "cli", "stack"])
        down, up = (f"{steer} {verb} store --dir {shlex.quote(folder)}" for verb in ("kill", "start"))
        yield ["--host", stack.url("api"), "--store-down", down, "--store-up", up]


def _check(host: str) -> None:
    try:
        httpx.get(f"{host.rstrip('/')}/livez", timeout=5).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SystemExit(_failed(f"no Holdfast API answers at {host}: {type(error).__name__} {error}")) from error


def _run(command: list[str]) -> int:
    """Locust's own Ctrl-C ends the load and reckons up; ours waits for it."""
    with subprocess.Popen(command) as locust:
        while True:
            try:
                return locust.wait()
            except KeyboardInterrupt:
                continue


def _failed(text: str) -> int:
    click.echo(f"loadtest: {text}", err=True)
    return 2


if __name__ == "__main__":
    main()
