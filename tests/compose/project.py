"""docker compose, steered as a person would, in a project of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = str(ROOT / "docker-compose.yml")
PROFILES = ("chaos", "mongo", "rabbitmq")
TOOL = str(Path(sys.executable).with_name("docker-compose"))

_NAME = "holdfast-smoke"
_SECRETS = ("POSTGRES", "LEDGER", "CACHE", "BROKER", "RABBITMQ", "MONGO", "GRAFANA")
_UP = ("up", "--detach", "--wait", "--wait-timeout=240", "--scale=api=2", "--scale=worker=2")


class ComposeError(Exception):
    """A command failed; the text is what it said."""


class Project:
    """runner: a program that brings an engine and images where there are none; None for the engine that is there.

    It is called as `RUNNER engine start`, `RUNNER images|build FILE --profile P …` and
    `RUNNER compose -p NAME --profile P … FILE -- ARGUMENTS OF DOCKER COMPOSE`.
    """

    def __init__(self, runner: str | None) -> None:
        self._runner = runner
        self._profiles = [f"--profile={profile}" for profile in PROFILES]
        # Any free port, so that nothing is in the way of another stack; and no .env.
        self._own = {"API_PORT": "0", "TOXIPROXY_PORT": "0", "COMPOSE_ENV_FILES": os.devnull}
        self._own |= {f"{name}_PASSWORD": secrets.token_hex(16) for name in _SECRETS}
        self._changed: dict[str, str] = {}

    def find_engine(self) -> None:
        """Raises ComposeError where there is none."""
        if self._runner is None:
            self("ps")
        else:
            self._run([self._runner, "engine", "start"])

    def build(self) -> str:
        """Have all images; return what was to be said about them. Raises ComposeError."""
        if self._runner is None:
            self("build")
            return ""
        table = self._run([self._runner, "images", *self._profiles, FILE])
        self._run([self._runner, "build", *self._profiles, FILE])
        return table

    def up(self, **changed: str) -> None:
        """Bring it up, or to these variables; return when all is healthy."""
        self._changed = changed
        self(*_UP)

    def __call__(self, *arguments: str) -> str:
        """What the command of docker compose has printed. Raises ComposeError."""
        if self._runner is None:
            return self._run([TOOL, "-p", _NAME, *self._profiles, "-f", FILE, *arguments])
        return self._run([self._runner, "compose", "-p", _NAME, *self._profiles, FILE, "--", *arguments])

    def secret(self, name: str) -> str:
        return self._own[f"{name}_PASSWORD"]

    def containers(self) -> list[dict[str, Any]]:
        """All of them, those that have ended too, as docker compose tells of them."""
        return [json.loads(line) for line in self("ps", "--all", "--format=json").splitlines()]

    def urls(self, service: str, port: int) -> list[str]:
        """Where this port of each of its containers is published."""
        return [
            f"http://{published['URL']}:{published['PublishedPort']}"
            for container in self.containers()
            for published in container.get("Publishers") or ()
            if container["Service"] == service and published["TargetPort"] == port and published["PublishedPort"]
        ]

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(command, cwd=ROOT, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ComposeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        return inherited | self._own | self._changed


def services() -> set[str]:
    """All that the compose file names, whatever the profile."""
    variables = {f"{name}_PASSWORD": "x" for name in _SECRETS}
    command = [TOOL, "-f", FILE, "--profile=*", "config", "--services"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=True)
    return set(done.stdout.split())
