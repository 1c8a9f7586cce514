"""For the `locust` command: `locust -f loadtest/locustfile.py --shape outage --users 50 …`. Options: `--help`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
from locust import LoadTestShape, events
from locust.runners import LocalRunner
from locust.util.timespan import parse_timespan

sys.path.insert(0, str(Path(__file__).parent.parent))  # `locust -f` knows the file only, not its package

from loadtest.figures import Limits, breaches
from loadtest.reckoning import reckon
from loadtest.report import Run, add_to_page, summary
from loadtest.shapes import shapes, users_at
from loadtest.truth import Truth
from loadtest.users import Client
from loadtest.wire import Api

__all__ = ["Client", "Phases"]

_SPAWN_RATE = 100.0


class Phases(LoadTestShape):
    """The users of the moment, as the chosen shape has it."""

    use_common_options = True

    def __init__(self) -> None:
        super().__init__()
        self.run: Run | None = None

    def tick(self) -> tuple[int, float] | None:
        if self.run is None:
            return None
        at = self.get_run_time()
        self.run.reach(at)
        users = users_at(self.run.phases, at)
        return None if users is None else (users, max(_SPAWN_RATE, users))


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    group = parser.add_argument_group("Holdfast")
    known = shapes()
    group.add_argument(
        "--shape",
        choices=[*known],
        default="steady",
        env_var="LOADTEST_SHAPE",
        help="; ".join(f"{name}: {shape.text}" for name, shape in known.items()),
    )
    group.add_argument(
        "--rate", type=float, default=2.0, env_var="LOADTEST_RATE", help="requests per second of one user"
    )
    group.add_argument(
        "--store-down", default="", env_var="LOADTEST_STORE_DOWN", help="command that kills the store (shape outage)"
    )
    group.add_argument(
        "--store-up", default="", env_var="LOADTEST_STORE_UP", help="command that starts it again (shape outage)"
    )
    group.add_argument(
        "--settle-within",
        type=float,
        default=180.0,
        env_var="LOADTEST_SETTLE_WITHIN",
        help="seconds after the load in which every job must be settled",
    )
    group.add_argument(
        "--p95",
        type=float,
        default=Limits().p95,
        env_var="LOADTEST_P95",
        help="seconds, of all requests; a machine that is busy with other things is slower",
    )


@events.init.add_listener
def _prepare(environment: Any, **_: Any) -> None:
    if not isinstance(environment.runner, LocalRunner):
        _refuse("writes are reckoned up in one process: run without --master, --worker and --processes")
    options = environment.parsed_options
    if options.shape == "outage" and not (options.store_down and options.store_up):
        _refuse("the shape outage needs --store-down and --store-up: commands that kill and start the store")
    environment.rate = options.rate
    environment.shape_class.run = Run([])
    environment.events.request.add_listener(environment.shape_class.run.count)
    _begin(environment)  # the shape is asked before the test has started


@events.test_start.add_listener
def _begin(environment: Any, **_: Any) -> None:
    options = environment.parsed_options
    shape = shapes()[options.shape]
    run: Run = environment.shape_class.run
    seconds = parse_timespan(str(options.run_time)) if options.run_time else shape.seconds
    run.begin(shape.phases(options.num_users or 50, seconds), _change_of(options))
    environment.truth = Truth()
    key = os.environ.get("HOLDFAST_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    host = (environment.host or "http://127.0.0.1:8000").rstrip("/")
    environment.api = Api(host, headers, f"load-{uuid4().hex[:8]}")


@events.test_stop.add_listener
def _judge(environment: Any, **_: Any) -> None:
    """Heal, wait for the last job, and look at every record."""
    run: Run = environment.shape_class.run
    options = environment.parsed_options
    run.end()
    run.wrong = reckon(environment.truth, environment.api, within=options.settle_within, say=_say)
    run.breaches = breaches(run.all, environment.truth.delays, Limits(p95=options.p95))
    environment.process_exit_code = 1 if run.wrong or run.breaches else 0
    verdict = summary(run, environment.truth)
    if environment.web_ui:
        _say(verdict)
    else:
        events.quit.add_listener(lambda **_: _say(verdict))  # below Locust's own tables, where it is seen


@events.quitting.add_listener
def _report(environment: Any, **_: Any) -> None:
    page = environment.parsed_options.html_file
    if page and Path(page).exists():
        add_to_page(Path(page), environment.shape_class.run, environment.truth)


def _change_of(options: Any) -> Any:
    """What is done when the store goes and comes; the load goes on meanwhile."""

    def change(*, down: bool) -> gevent.Greenlet:
        command = options.store_down if down else options.store_up
        _say(f"the store goes {'down' if down else 'up'}: {command}")
        return gevent.spawn(subprocess.run, command, shell=True, check=True, stdin=subprocess.DEVNULL)

    return change


def _refuse(text: str) -> None:
    sys.stderr.write(f"loadtest: {text}\n")
    raise SystemExit(2)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
