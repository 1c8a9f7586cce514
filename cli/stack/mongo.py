"""A server that speaks MongoDB's protocol, SecantusDB from its wheel, launched directly, on loopback only.

It is for trying and testing, and not installed with the stack: elsewhere HOLDFAST_MONGO_URL names a real MongoDB.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from cli.errors import StackError

from . import probes
from .spec import Spec


def url(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/holdfast?directConnection=true"


def server(data: Path, port: int) -> Spec:
    """Has on disk whatever it has answered."""
    if find_spec("secantus") is None:
        raise StackError("found no MongoDB for this machine; set HOLDFAST_MONGO_URL to one (or install secantusdb)")
    data.mkdir(mode=0o700, exist_ok=True)
    words = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(data), "--sync-on-commit"]
    return Spec(
        "mongo",
        [sys.executable, "-m", "secantus", *words, "--log-level", "WARNING"],
        {"PATH": os.defpath},
        cwd=data,
        ready=probes.mongo(port),
    )
