"""Ports that stay the same over restarts, for clients keep URLs."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from cli.errors import StackError

# Below the ports that the system gives to outgoing connections (from 32768 on Linux, 49152 on macOS): there, a
# client that knocks while the server is down can be given the very port it knocks at, and talk to itself.
_FREE = range(20_000, 30_000)


def is_free(port: int) -> bool:
    """Whether nobody listens on it, on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """The ports of one stack, kept in `path`."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def take(self, name: str, *, default: int = 0) -> int:
        """The port of `name`: what HOLDFAST_<NAME>_PORT says, else `default`; 0 means the last one or a free one.

        Raises StackError when a port that was asked for is taken or is none.
        """
        variable = f"HOLDFAST_{name.upper()}_PORT"
        port = self._wanted(variable, default)
        if port and not is_free(port):
            raise StackError(f"port {port} is taken; choose another for {name} with {variable} (0: any free one)")
        return port or self._any(name)

    def _wanted(self, variable: str, default: int) -> int:
        text = self._environ.get(variable) or str(default)
        if not text.isascii() or not text.isdigit() or int(text) > 65_535:
            raise StackError(f"{variable} must be a port from 0 to 65535, for example 8001; it is {text!r}")
        return int(text)

    def _any(self, name: str) -> int:
        kept = self._kept.get(name, 0)
        if not kept or kept in self._others(name) or not is_free(kept):
            self._kept[name] = self._new(name)
            self._path.write_text(json.dumps(self._kept, indent=2) + "\n")
        return self._kept[name]

    def _new(self, name: str) -> int:
        for port in random.sample(_FREE, 1_000):
            if port not in self._others(name) and is_free(port):
                return port
        raise StackError(f"found no free port for {name} among {_FREE.start} to {_FREE.stop - 1}")

    def _others(self, name: str) -> set[int]:
        return {port for other, port in self._kept.items() if other != name}
