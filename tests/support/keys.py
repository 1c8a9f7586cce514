"""API keys for tests, made as a person makes them: by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.main import main

Fields = dict[str, str]


def command(*arguments: str, file: Path) -> Result:
    """`holdfast keys …` on this file."""
    name, *rest = arguments
    return CliRunner().invoke(main, ["keys", name, "--file", str(file), *rest])


def make_key(file: Path, principal: str, *scopes: str, **options: str) -> dict[str, Any]:
    """What `holdfast keys create --json` tells of a new key."""
    chosen = [part for scope in scopes for part in ("--scope", scope)]
    chosen += [part for name, value in options.items() for part in (f"--{name}", value)]
    done = command("create", "--principal", principal, "--json", *chosen, file=file)
    assert done.exit_code == 0, done.output
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def bearer(file: Path, principal: str, *scopes: str, **options: str) -> Fields:
    """The header field that presents a new key."""
    return {"authorization": f"Bearer {make_key(file, principal, *scopes, **options)['key']}"}
