"""What is done to the system, and what must be so afterwards."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

import httpx

from tests.support.processes import wait_until

from .client import Client, Written
from .project import ComposeError, Project

Step = Callable[[], object]

ENDING = ("api", "worker", "sweeper")


@dataclass
class Story:
    """All writes to one collection, and the proof that each acknowledged one stands once."""

    client: Client
    written: list[Written] = field(default_factory=list)

    def outage(self, each: int, away: AbstractContextManager[object], meanwhile: Step = lambda: None) -> None:
        """Write while all is well; write and read while the store is away."""
        assert set(self.client.ends(self.write(each))) <= {"succeeded"}, "a write that a slow machine had held failed"
        known = self.client.known()
        with away:
            held = Counter(answer.status for answer in self.write(each))
            assert held == {202: each}, f"without the store, {each} writes were answered {dict(held)}"
            wait_until(lambda: self.client.cached(known), "without the store, a known record is read from the cache")
            meanwhile()

    def write(self, count: int) -> list[Written]:
        first = len(self.written)
        answers = self.client.write(range(first, first + count))
        self.written += answers
        return answers

    def prove(self) -> None:
        """Every job succeeded; every acknowledged record is there, once, as it was written."""
        ends = Counter(self.client.ends(self.written))
        assert set(ends) <= {"succeeded"}, f"jobs ended {dict(ends)}"
        found = list(self.client.all())
        expected = Counter(answer.number for answer in self.written)
        standing = Counter(record["data"]["number"] for record in found)
        assert standing == expected, f"lost {expected - standing}, too many {standing - expected}"
        assert {record["version"] for record in found} == {1}, "a record was written twice"


@contextmanager
def killed(project: Project, service: str) -> Iterator[None]:
    """Without this server, which ends without a word; it is started again."""
    project("kill", service)
    yield
    project("start", service)


@contextmanager
def cut_off(project: Project, proxy: str) -> Iterator[None]:
    """With this way through Toxiproxy closed."""
    [url] = project.urls("toxiproxy", 8474)
    httpx.post(f"{url}/proxies/{proxy}", json={"enabled": False}).raise_for_status()
    yield
    httpx.post(f"{url}/proxies/{proxy}", json={"enabled": True}).raise_for_status()


def die(project: Project, service: str) -> None:
    """End all processes in the first container of `service` at once; its restart policy brings it back."""
    with suppress(ComposeError):  # what does it may die with them
        project("exec", "-T", service, "python", "-c", "import os; os.kill(-1, 9)")


def end_under_load(project: Project, story: Story) -> None:
    """Stop all processes of ours while clients write; each must end by itself, in time, and lose nothing."""
    writer = Thread(target=_write_until_refused, args=(story,))
    writer.start()
    begun = time.monotonic()
    project("stop", *ENDING)
    writer.join()
    say(f"   they ended within {time.monotonic() - begun:.0f} s")
    codes = {each["Name"]: each["ExitCode"] for each in project.containers() if each["Service"] in ENDING}
    assert set(codes.values()) == {0}, f"exit codes after the stop: {codes}"


def _write_until_refused(story: Story) -> None:
    while True:
        try:
            story.written.append(story.client.create(len(story.written)))
        except httpx.HTTPError:
            return


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def told(text: str, step: Step) -> None:
    """Say what is done, do it, and say how long it took."""
    begun = time.monotonic()
    say(f"-- {text}")
    step()
    say(f"   {time.monotonic() - begun:.0f} s")
