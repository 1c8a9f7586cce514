"""What keys and rate limits cost the API, as ratios of its CPU time per request to that without them.

`python -m bench.keys` runs three API processes on the memory profile: without keys, with 1,000 of them, and with a rate
limit besides. Rounds alternate; each figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.write_path import run
from cli.keys import file as keys_file

_KEYS = 1000
_REQUESTS = {"POST": "/v1/records/bench", "GET": "/v1/records/bench/{seen}"}


class Api(NamedTuple):
    name: str
    process: psutil.Process
    port: int
    key: str


@contextlib.contextmanager
def running(name: str, key: str = "", **settings: str) -> Iterator[Api]:
    environment = {**os.environ, "HOLDFAST_STORE": "memory", "HOLDFAST_API_PORT": "0", **settings}
    with subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stderr is not None
            told = next(line for line in started.stderr if "serving on" in line)
            yield Api(name, psutil.Process(started.pid), int(told.strip().rstrip('"}').rpartition(":")[2]), key)
        finally:
            started.kill()


def make_keys(path: Path) -> str:
    """A file of many keys; one of them."""
    with keys_file.changing(path) as entries:
        for number in range(_KEYS):
            id_, key = keys_file.new_key()
            entry = {"id": id_, "principal": f"p{number}", "sha256": keys_file.digest(key)}
            entries.append(entry | {"scopes": ["read", "write"]})
    return key


def measure(api: Api, method: str, seconds: float) -> float:
    """Milliseconds of the API's processor time for one request."""
    before = sum(api.process.cpu_times()[:2])
    arguments = ("--port", api.port, "--method", method, "--path", _REQUESTS[method], "--seconds", seconds)
    figures = run("bench.load", *arguments, *(["--key", api.key] if api.key else []))
    assert not {"401", "403", "429"} & set(figures["statuses"]), figures
    return 1000 * (sum(api.process.cpu_times()[:2]) - before) / max(1, figures["requests"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each kind")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as things:
        path = Path(things.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))) / "keys.json"
        key = make_keys(path)
        keyed = {"HOLDFAST_KEYS_FILE": str(path)}
        apis = [
            things.enter_context(running("without keys")),
            things.enter_context(running(f"with {_KEYS:,} keys", key, **keyed)),
            things.enter_context(running("and a rate limit", key, **keyed, HOLDFAST_RATE_LIMIT="1000000")),
        ]
        print("| | CPU ms per POST | ratio | CPU ms per GET | ratio |\n| --- | ---: | ---: | ---: | ---: |")
        print("\n".join(rows(apis, arguments.seconds, arguments.rounds)))


def rows(apis: list[Api], seconds: float, rounds: int) -> Iterator[str]:
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for method in _REQUESTS:
            for api in apis:
                taken.setdefault((api.name, method), []).append(measure(api, method, seconds))
    bare = apis[0].name
    for api in apis:
        cells = [_cells(taken[api.name, method], taken[bare, method]) for method in _REQUESTS]
        yield f"| {api.name} | {' | '.join(cells)} |"


def _cells(mine: list[float], bare: list[float]) -> str:
    """Ratios are of the same rounds, so that what else the machine does falls on both."""
    ratio = statistics.median(one / other for one, other in zip(mine, bare, strict=True))
    return f"{statistics.median(mine):.3f} | {ratio:.2f}"


if __name__ == "__main__":
    main()
