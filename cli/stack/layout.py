"""Where a stack keeps its things: all in one directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cli.errors import StackError


@dataclass(frozen=True, slots=True)
class Layout:
    """root: an absolute path. What must survive a restart is outside `run`."""

    root: Path

    @classmethod
    def at(cls, directory: str | Path) -> Layout:
        return cls(Path(directory).resolve())

    @property
    def run(self) -> Path:
        """What is true only while the stack runs; closed to others, for the control socket is in it."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def state(self) -> Path:
        return self.run / "stack.json"

    def data(self, server: str) -> Path:
        return self.root / server

    def ready(self, name: str) -> Path:
        """The file that a program makes once it is ready to work."""
        return self.run / f"{name}.ready"

    def members(self, name: str) -> Path:
        """The file that every process of `name` holds open (see members.py)."""
        return self.run / f"{name}.members"

    def create(self) -> None:
        """Make the directories; raises StackError where this user may not."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
            self.log.mkdir(exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot keep a stack in {self.root}: {error.strerror}; choose another --dir") from error
        if not os.access(self.run, os.W_OK):
            raise StackError(f"the stack in {self.root} belongs to another user; choose another --dir")
