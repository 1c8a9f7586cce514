"""`python -m adapters.settings.document` writes what is made from the settings: `docs/reference/settings.md`,
`.env.example`, and `deploy/compose/settings.env`, by which containers get them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from .variables import Variable, variables

# The heading that begins with each field, or group of fields.
_HEADINGS = {
    "store": "Servers",
    "api_host": "API",
    "tls_ca_file": "TLS",
    "metrics_host": "Metrics",
    "log_level": "Logs, traces, supervision",
    "ordering": "Writes",
    "store_breaker": "Breakers",
    "store_pool": "Connections",
    "ledger_durability": "Ledger",
    "cache_ttl": "Cache",
    "lease_ttl": "Replay",
    "worker_concurrency": "Worker, doorbell, sweeper",
    "crash_points": "Tests",
}

_REFERENCE = """\
# Settings

Every setting of the API, the worker and the sweeper. Each is an environment variable. What to change for which purpose:
[scale and tune](../how-to/scale-and-tune.md). The terms: [words](words.md).

With a wrong value a process ends with exit code 2 and a message that names the variable. A variable that begins with
`HOLDFAST_` and that no program knows is logged as a warning, with the nearest name. An empty value means: not set.
`python -m adapters.settings` checks the settings and does nothing else. `holdfast stack` reads a file `.env` as well;
copy `.env.example` to begin with.

In the user or the password of a URL, percent-encode `@ / : ? # % [ ]`: `p@ss` is written `p%40ss`. This prints it:
`python -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1], safe=""))' 'p@ss'`.

Store, ledger and cache each have a breaker with the same settings; only the store's are listed.

This page is made from the settings themselves: `python -m adapters.settings.document`.
"""

_EXAMPLE = """\
# Every setting of Holdfast, with an example or its default. Take away the # of a line to set it.
# docs/reference/settings.md says the same with types, units and limits.
# `holdfast stack` and `docker compose` read this as .env; for processes of your own: set -a; . ./.env; set +a
"""

# What only docker compose reads; it is kept beside it.
_COMPOSE = "deploy/compose/example.env"

_NAMES = """\
# Every setting, without a value: a container is given those that .env or the shell sets.
"""


def reference() -> str:
    """The page of all settings."""
    return _REFERENCE + "".join(
        f"\n## {heading}\n\n| variable | type | default | meaning |\n| --- | --- | --- | --- |\n"
        + "".join(_row(variable) for variable in group if not _repeats(variable))
        for heading, group in _grouped()
    )


def example(root: Path) -> str:
    """All settings, and what docker compose reads besides, commented out."""
    settings = (f"\n# {heading}\n" + "".join(map(_lines, group)) for heading, group in _grouped())
    return _EXAMPLE + "".join(settings) + (root / _COMPOSE).read_text()


def names() -> str:
    """The settings' names, as an env_file of docker compose."""
    return _NAMES + "".join(f"{name}\n" for name in variables())


def write(root: Path) -> None:
    """Write the files into the project at `root`."""
    (root / "docs/reference").mkdir(parents=True, exist_ok=True)
    (root / "docs/reference/settings.md").write_text(reference())
    (root / ".env.example").write_text(example(root))
    (root / "deploy/compose/settings.env").write_text(names())


def _grouped() -> Iterator[tuple[str, list[Variable]]]:
    heading = ""
    named: list[tuple[str, Variable]] = []
    for variable in variables().values():
        heading = _HEADINGS.get(variable.path[0], heading)
        named.append((heading, variable))
    for name, group in groupby(named, key=lambda pair: pair[0]):
        yield name, [variable for _, variable in group]


def _row(variable: Variable) -> str:
    kind = f"{variable.kind}, {variable.unit}" if variable.unit else variable.kind
    default = f"`{variable.default}`" if variable.default not in ("", "required") else variable.default
    given = "" if variable.example == variable.default else f" Example: `{variable.example}`."
    return f"| `{variable.name}` | {kind} | {default} | {variable.text}{given} |\n"


def _lines(variable: Variable) -> str:
    unit = f" ({variable.unit})" if variable.unit else ""
    return f"# {variable.text}{unit}\n#{variable.name}={variable.example}\n"


def _repeats(variable: Variable) -> bool:
    return variable.path[0] in ("ledger_breaker", "cache_breaker")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    write(Path.cwd())
