"""`python -m chaos`: list the scenarios, run one, or soak the system in random ones."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from cli.errors import StackError

from . import scenario as scenarios
from .errors import Impossible
from .figures import summary
from .lab import TARGETS, Lab, kind_of
from .page import render
from .progress import Progress
from .runner import Run, run
from .scenario import Scenario
from .soak import rounds
from .system import STORES
from .workload import Load

_seed = click.option("--seed", type=int, help="Repeats the choices of an earlier run; random if not given.")
_clients = click.option("--clients", default=16, show_default=True, type=click.IntRange(1), help="At the same time.")
_rate = click.option("--rate", default=200.0, show_default=True, help="Requests per second, all clients together.")
_store = click.option(
    "--store",
    envvar="HOLDFAST_STORE",
    default="postgres",
    show_default=True,
    type=click.Choice(STORES),
    help="On which.",
)
_directory = click.option(
    "--dir", "folder", default="var/chaos", show_default=True, type=click.Path(path_type=Path), help="For reports."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Break the system on purpose, and prove from what its clients saw that every guarantee held.

    Each run has a system of its own, on free ports and with its data in a temporary folder, unless `--target compose`
    names one that runs already. Exit code 0 only when nothing was found, every job settled, and the fault showed.
    """


@main.command("list")
def list_() -> None:
    """Show the scenarios."""
    for name in scenarios.names():
        click.echo(f"{name:<28} {scenarios.load(name).text}")


@main.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@_seed
@click.option("--duration", type=click.FloatRange(1), help="Seconds of load, the scenario's own if not given.")
@_clients
@_rate
@_store
@_directory
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="local",
    show_default=True,
    help="compose: the project of this folder, which runs already and is really broken.",
)
@click.option("--key", envvar="HOLDFAST_CHAOS_KEY", help="For the API of a compose project.")
def run_(
    names: tuple[str, ...],
    seed: int | None,
    duration: float | None,
    clients: int,
    rate: float,
    store: str,
    folder: Path,
    target: str,
    key: str | None,
) -> None:
    """Run scenarios, one after the other; `all` that fit the store. A NAME that ends in .toml is a file of yours."""
    seed = random.randrange(10_000) if seed is None else seed
    chosen = all_for(store) if names == ("all",) else [scenarios.load(name) for name in names]
    shaped = [each.lasting(duration) if duration else each for each in chosen]
    shaped = [each.fitting(store) if each.fits(store) else each for each in shaped]
    jobs = [(each, _load(each.name, seed, clients, rate), folder / f"{each.name}-{seed}") for each in shaped]
    sys.exit(_to_the_end(_run_each(jobs, Lab(store, target, key), stop_at_first=False)))


def all_for(store: str) -> list[Scenario]:
    """Those for the store, of each kind of system together; the others are told."""
    every = [scenarios.load(name) for name in scenarios.names()]
    for each in every:
        if not each.fits(store):
            click.echo(f"{each.name}: not for {store}, it breaks what only another store has")
    return sorted((each for each in every if each.fits(store)), key=lambda each: str(kind_of(each)))


@main.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long, about.")
@_seed
@_clients
@_rate
@_store
@_directory
def soak(minutes: float, seed: int | None, clients: int, rate: float, store: str, folder: Path) -> None:
    """Run random faults, round after round, each judged by itself; the first violation ends it."""
    seed = random.randrange(10_000) if seed is None else seed
    end = time.monotonic() + minutes * 60
    jobs = (
        (each, _load(each.name, seed + number, clients, rate), folder / f"soak-{seed}" / each.name)
        for number, each in enumerate(rounds(seed, store))
    )
    begun = takewhile(lambda _: time.monotonic() < end, jobs)
    sys.exit(_to_the_end(_run_each(begun, Lab(store), stop_at_first=True)))


def _to_the_end(runs: Coroutine[Any, Any, int]) -> int:
    """Its exit code. Ctrl-C and SIGTERM alike let it heal what it has broken; a second one does not wait for that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    return asyncio.run(runs)


def _load(name: str, seed: int, clients: int, rate: float) -> Load:
    return Load(seed=seed, clients=clients, rate=rate, collection=f"{name}-{time.time_ns():x}")


async def _run_each(jobs: Iterable[tuple[Scenario, Load, Path]], lab: Lab, *, stop_at_first: bool) -> int:
    """The worst of their exit codes."""
    worst, codes = 0, Counter[int]()
    async with lab:
        for scenario, load, folder in jobs:
            code = await _run(scenario, load, folder, lab)
            codes[code] += 1
            worst = max(worst, code)
            if code and stop_at_first:
                break
    click.echo(f"{codes[0]} well, {codes[1]} found something, {codes[2]} could not be run")
    return worst


async def _run(scenario: Scenario, load: Load, folder: Path, lab: Lab) -> int:
    """The exit code: 0 all is well, 1 something was found, 2 it could not be run."""
    _make_anew(folder)
    click.echo(f"{scenario.name}, seed {load.seed}: {scenario.text}")
    try:
        done = await run(scenario, load, await lab.system(scenario), folder, Progress(scenario))
    except (Impossible, StackError) as error:
        await lab.discard()
        click.echo(f"  cannot be run: {error}", err=True)
        return 2
    code = _report(done, folder)
    if code:
        await lab.discard(keep_logs=folder / "log")
    return code


def _make_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _report(done: Run, folder: Path) -> int:
    told = summary(done)
    (folder / "report.json").write_text(json.dumps(told, indent=2))
    (folder / "report.html").write_text(render(done, told))
    wrong = [str(each) for each in done.violations[:5]]
    wrong += [f"… and {len(done.violations) - 5} more violations"] if len(done.violations) > 5 else []
    wrong += [done.unfinished] if done.unfinished else []
    wrong += [f"the fault did not show: expected at least {each}" for each in told["unmet"]]
    requests = ", ".join(f"{number} {name}" for name, number in told["requests"].items() if number)
    click.echo(f"  {told['changes']} changes; {requests}; {told['seconds']} s")
    for each in wrong:
        click.echo(f"  {each}")
    click.echo(f"  {'FOUND SOMETHING' if wrong else 'every guarantee held'}: {folder}/report.html")
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
