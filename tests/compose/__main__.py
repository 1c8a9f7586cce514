"""Builds the image, brings the compose file up for real, breaks it, and counts what is left.

Exit codes: 0 all is as promised, or there is no engine; 1 something is not; with HOLDFAST_REQUIRE_ALL=1 also without
an engine. COMPOSE_RUNNER: see project.py.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager
from functools import partial

import httpx

from .client import Client
from .project import ComposeError, Project, services
from .story import Story, cut_off, die, end_under_load, killed, say, told


def main() -> int:
    project = Project(os.environ.get("COMPOSE_RUNNER"))
    try:
        project.find_engine()
    except ComposeError as error:
        say(f"There is no engine; nothing was tried.\n{error}")
        return int(os.environ.get("HOLDFAST_REQUIRE_ALL") == "1")
    begun = time.monotonic()
    try:
        say(f"{project.build()}The images are ready after {time.monotonic() - begun:.0f} s.")
        _play(project)
        left_out = services() - {each["Service"] for each in project.containers()} - {"keys"}
        say(f"All is as promised, in {time.monotonic() - begun:.0f} s. Not run here: {', '.join(sorted(left_out))}.")
    except (AssertionError, ComposeError, httpx.HTTPError) as error:
        say(f"{project('logs', '--tail=30')}Not as promised: {error}")
        return 1
    finally:
        project("down", "--volumes", "--remove-orphans")
    return 0


def _play(project: Project) -> None:
    told("up: two APIs, two workers, everything else", project.up)
    key = project("run", "--rm", "keys", "create", "--principal=smoke", "--scope=read", "--scope=write").split()[-1]
    client = partial(_client, project, key)
    story = Story(client("smoke"))
    told(
        "200 writes, PostgreSQL killed, 200 more held, a read from the cache, a worker killed, PostgreSQL started",
        partial(story.outage, 200, killed(project, "postgres"), partial(die, project, "worker")),
    )
    told("each of the 400 stands once", story.prove)
    told("PostgreSQL killed, 50 more held, and everything ends under load", partial(_end, project, story))
    told("down, and up again", partial(_down_and_up, project))
    story.client = client("smoke")
    told("each stands once, what was held too", story.prove)
    for what, (changed, away) in _others(project).items():
        told(f"up, {what}", partial(project.up, **changed))
        story = Story(client(what.split()[-1].lower()))
        told("20 writes, the store lost, 20 more held, the store back", partial(story.outage, 20, away))
        told("each of the 40 stands once", story.prove)


def _others(project: Project) -> dict[str, tuple[dict[str, str], AbstractContextManager[object]]]:
    """The same on other parts: which variables, and how the store is lost."""
    broker = f"amqp://holdfast:{project.secret('RABBITMQ')}@rabbitmq:5672//"
    return {
        "doorbells through RabbitMQ": ({"BROKER_URL": broker}, killed(project, "postgres")),
        "records in MongoDB": ({"HOLDFAST_STORE": "mongo"}, killed(project, "mongo")),
        "everything through Toxiproxy": ({"DEPENDENCIES_VIA": "toxiproxy"}, cut_off(project, "postgres")),
    }


def _client(project: Project, key: str, collection: str) -> Client:
    return Client(project.urls("api", 8000), key, collection)


def _end(project: Project, story: Story) -> None:
    project("kill", "postgres")
    story.write(50)
    end_under_load(project, story)


def _down_and_up(project: Project) -> None:
    project("down")
    project.up()


if __name__ == "__main__":
    sys.exit(main())
