"""The file that tells a supervisor that a process is ready to work."""

from __future__ import annotations

from pathlib import Path


class ReadyFile:
    """The file, which is there while the process is ready. path: None for a process that nobody watches."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.remove()

    def make(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()

    def remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
