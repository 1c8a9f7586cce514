"""The local stack, whole: real servers, real programs, one supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from click.testing import CliRunner, Result

from cli.main import main
from cli.stack.handle import Stack
from cli.stack.members import members
from tests.support.processes import wait_until
from tests.support.stack import running_stack

PROCESSES = ("api", "worker", "sweeper", "postgres", "ledger", "cache")
NAMES = (*PROCESSES, "broker")


# For the start of two stacks, on a machine that has much else to do.
pytestmark = pytest.mark.timeout(300)

# Seconds for a start or an end of one.
PATIENCE = 120

# No call to a server is to run out of time, and no write to be held for having waited for its turn.
PATIENT = {
    **{f"HOLDFAST_{name}_TIMEOUT": "10" for name in ("STORE", "LEDGER", "CACHE", "BROKER")},
    "HOLDFAST_WRITE_PATIENCE": "10",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(**PATIENT) as stack:
        yield stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Closed to every other user, as root's home is."""
    tmp_path.chmod(0o700)
    return tmp_path / "var"


def recorded(stack: Stack) -> dict[str, tuple[int | None, str | None]]:
    """What stack.json says, by name: pid and URL."""
    rows = json.loads(stack.layout.state.read_text())["processes"]
    return {row["name"]: (row["pid"], row["url"]) for row in rows}


def living(stack: Stack) -> list[psutil.Process]:
    return [process for name in (*PROCESSES, "migrate") for process in members(stack.layout.members(name))]


def holdfast(stack: Stack, *arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(main, ["stack", command, "--dir", str(stack.layout.root), *rest])


def query(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.url("postgres"), connect_timeout=30) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def up(folder: Path, *, stdout: int = subprocess.PIPE, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """`holdfast stack up` as a person starts it."""
    folder.mkdir(exist_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "cli", "stack", "up", "--dir", folder],
        env=own | {"HOLDFAST_API_PORT": "0"} | settings,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder.parent,
    )
    try:
        yield supervisor
    finally:
        supervisor.terminate()
        supervisor.communicate(timeout=PATIENCE)


def test_everything_is_up_once_the_state_file_is_there(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.url('api')}/readyz") as answer:
        assert answer.status == 200
    assert query(stack, "SELECT 1") == [(1,)]
    for name in ("ledger", "broker", "cache"):
        with redis.Redis.from_url(stack.url(name)) as client:
            assert client.ping()
    state = recorded(stack)
    assert tuple(state) == NAMES
    assert all(pid and psutil.pid_exists(pid) for pid, _ in state.values())
    assert state["ledger"][0] == state["broker"][0]
    assert state["api"][1] == stack.url("api")


def test_the_ledger_keeps_all_and_the_cache_nothing_on_disk(stack: Stack) -> None:
    with redis.Redis.from_url(stack.url("ledger"), decode_responses=True) as ledger:
        settings = ledger.config_get("appendonly", "appendfsync", "maxmemory-policy")
        assert settings == {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    with redis.Redis.from_url(stack.url("cache"), decode_responses=True) as cache:
        settings = cache.config_get("appendonly", "save", "maxmemory-policy")
        assert settings == {"appendonly": "no", "save": "", "maxmemory-policy": "allkeys-lru"}


def test_nothing_listens_to_other_machines(stack: Stack) -> None:
    addresses = {
        (connection.laddr.ip, connection.laddr.port)
        for process in living(stack)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {ip for ip, _ in addresses} == {"127.0.0.1"}
    assert len(addresses) >= len({urlsplit(stack.url(name)).port for name in ("api", "postgres", "ledger", "cache")})


def test_a_killed_postgres_is_gone_until_it_is_started_and_then_has_its_data(stack: Stack) -> None:
    query(stack, "CREATE TABLE kept AS SELECT 1 AS one")
    url = stack.url("postgres")
    stack.kill("postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
    assert recorded(stack)["postgres"] == (None, url)
    stack.start("postgres")
    assert stack.url("postgres") == url
    assert query(stack, "SELECT one FROM kept") == [(1,)]


def test_a_frozen_ledger_keeps_its_connections_and_does_not_answer(stack: Stack) -> None:
    with redis.Redis.from_url(stack.url("ledger"), socket_timeout=2, retry=None) as client:
        wait_until(lambda: answers(client), "it has a connection")
        stack.freeze("ledger")
        assert stack.processes()["broker"]["state"] == "frozen"
        with pytest.raises(redis.TimeoutError):
            client.ping()
        stack.thaw("broker")
    with redis.Redis.from_url(stack.url("ledger")) as client:
        assert client.ping()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.TimeoutError:
        return False


@pytest.mark.parametrize("name", PROCESSES)
def test_what_dies_by_itself_is_back_soon_and_the_state_file_knows(stack: Stack, name: str) -> None:
    pid = recorded(stack)[name][0]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: (row := stack.processes()[name])["state"] == "ready" and row["pid"] != pid,
        f"{name} is back",
        seconds=PATIENCE,
    )
    assert recorded(stack)[name][0] == stack.processes()[name]["pid"]


def test_what_dies_while_the_state_file_cannot_be_written_is_started_again_too(stack: Stack) -> None:
    pid = stack.processes()["cache"]["pid"]
    in_its_way = stack.layout.state.with_suffix(".new")
    in_its_way.mkdir()
    try:
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: (row := stack.processes()["cache"])["state"] == "ready" and row["pid"] != pid,
            "the cache is back",
            seconds=PATIENCE,
        )
    finally:
        in_its_way.rmdir()
    stack.stop("cache")
    stack.start("cache")
    assert recorded(stack)["cache"][0] == stack.processes()["cache"]["pid"]


@pytest.mark.parametrize("name", PROCESSES)
def test_everything_can_be_stopped_and_started_by_name(stack: Stack, name: str) -> None:
    assert holdfast(stack, "stop", name).output == f"{name} is down\n"
    assert not members(stack.layout.members(name))
    assert holdfast(stack, "start", name).output == f"{name} is ready\n"


def test_a_killed_worker_leaves_no_child_behind(stack: Stack) -> None:
    assert len(members(stack.layout.members("worker"))) > 1, "the worker has children"
    assert holdfast(stack, "kill", "worker").exit_code == 0
    assert not members(stack.layout.members("worker"))
    stack.start("worker")


def test_ps_tells_how_each_one_does(stack: Stack) -> None:
    lines = holdfast(stack, "ps").output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[name, "ready"] for name in NAMES]
    rows = json.loads(holdfast(stack, "ps", "--json").output)["processes"]
    assert {row["name"]: (row["pid"], row["url"]) for row in rows} == recorded(stack)


def test_an_unknown_name_is_refused_with_the_names_there_are(stack: Stack) -> None:
    for command in ("stop", "logs"):
        result = holdfast(stack, command, "database")
        assert result.exit_code == 1
        assert "there is no 'database'; the names are api, worker, sweeper, postgres" in result.output


def test_logs_show_the_last_lines_of_one_process(stack: Stack) -> None:
    shown = holdfast(stack, "logs", "postgres", "-n", "200").output
    assert "database system is ready to accept connections" in shown
    assert len(holdfast(stack, "logs", "broker", "-n", "2").output.splitlines()) == 2


def test_a_second_supervisor_on_the_same_folder_is_refused(stack: Stack) -> None:
    before = recorded(stack)
    with up(stack.layout.root) as second:
        said, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert f"a stack runs in {stack.layout.root} already (pid {stack.supervisor()[0]})" in said
    assert recorded(stack) == before


def test_at_its_end_nothing_is_left_and_the_next_start_has_the_same_urls_and_data(folder: Path) -> None:
    with running_stack(folder) as stack:
        urls = {name: row["url"] for name, row in stack.processes().items()}
        query(stack, "CREATE TABLE kept AS SELECT 1 AS one")
        with redis.Redis.from_url(urls["ledger"]) as client:
            client.set("kept", 1)
    assert not living(stack)
    assert not stack.layout.state.exists()
    with running_stack(folder) as again:
        assert {name: row["url"] for name, row in again.processes().items()} == urls
        assert query(again, "SELECT one FROM kept") == [(1,)]
        with redis.Redis.from_url(urls["ledger"]) as client:
            assert client.get("kept") == b"1"


def test_after_the_supervisor_was_killed_the_next_one_ends_what_it_left(folder: Path) -> None:
    with running_stack(folder) as stack:
        query(stack, "CREATE TABLE kept AS SELECT 1 AS one")
        left = living(stack)
        with psycopg.connect(stack.url("postgres")):  # a backend that will be frozen
            stack.freeze("postgres")
            stack.freeze("worker")
            os.kill(stack.supervisor()[0], signal.SIGKILL)
    with running_stack(folder) as again:
        gone = [not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in left]
        assert all(gone)
        assert query(again, "SELECT one FROM kept") == [(1,)]


def test_what_is_left_of_an_earlier_run_ends_before_its_port_is_wanted(folder: Path) -> None:
    (folder / "run").mkdir(parents=True)
    token = folder / "run" / "api.members"
    script = f"""
import signal, socket
held, server = open({str(token)!r}, "w"), socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as left:
        assert left.stdout
        port = left.stdout.readline().strip()
        with up(folder, HOLDFAST_API_PORT=port) as supervisor:
            left.wait(timeout=PATIENCE)
            wait_until(lambda: living(Stack(folder)), "the next run has started", seconds=PATIENCE)
            supervisor.terminate()
            said, _ = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 0, said
    assert "api      * ended 1 left over by an earlier run" in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_when_the_supervisor_is_killed_all_ends_with_it(folder: Path) -> None:
    with running_stack(folder) as stack:
        os.kill(stack.supervisor()[0], signal.SIGKILL)
        wait_until(lambda: not living(stack), "everything ends with its supervisor")


def test_asked_to_end_it_ends_all_in_order_with_exit_code_0(folder: Path) -> None:
    stack = Stack(folder)
    with up(folder) as supervisor:
        wait_until(stack.layout.state.exists, "the stack is up", seconds=PATIENCE)
        supervisor.terminate()
        said, _ = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 0, said
    assert not living(stack)
    ended = [line.split()[0] for line in said.partition("ending")[2].splitlines() if line.endswith("* down")]
    assert ended[:3] == ["api", "sweeper", "worker"]
    assert set(ended[3:]) == {"postgres", "ledger", "cache"}
    assert f"curl -i {recorded_api(said)}/v1/records/notes/1" in said


def recorded_api(said: str) -> str:
    return next(line.split()[1] for line in said.splitlines() if line.startswith("  API"))


def test_asked_twice_it_ends_at_once(folder: Path) -> None:
    stack = Stack(folder)
    with up(folder) as supervisor:
        wait_until(stack.layout.state.exists, "the stack is up", seconds=PATIENCE)
        os.kill(recorded(stack)["api"][0] or 0, signal.SIGSTOP)  # it will not hear that it shall end
        supervisor.send_signal(signal.SIGINT)
        wait_until(lambda: not stack.layout.state.exists(), "it has heard the first one")
        supervisor.send_signal(signal.SIGINT)
        said, _ = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 0, said
    assert "did not end within" not in said, "it did not wait for the 30 s that each process has"
    assert not living(stack)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_while_it_starts_it_ends_too(folder: Path, sig: signal.Signals) -> None:
    stack = Stack(folder)
    with up(folder) as supervisor:
        wait_until(lambda: living(stack), "something has started", seconds=PATIENCE)
        supervisor.send_signal(sig)
        said, _ = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 0, said
    assert not living(stack)


def test_it_ends_in_order_when_its_terminal_is_gone(folder: Path) -> None:
    stack = Stack(folder)
    ours, its = pty.openpty()
    with up(folder, stdout=its) as supervisor:
        wait_until(lambda: living(stack), "something has started", seconds=PATIENCE)
        os.close(its)
        os.close(ours)
        supervisor.send_signal(signal.SIGHUP)
        assert supervisor.wait(timeout=PATIENCE) == 0
    assert not living(stack)


def test_a_start_that_fails_says_why_and_leaves_nothing(folder: Path) -> None:
    with up(folder, HOLDFAST_POSTGRES_URL="nonsense") as supervisor:
        said, _ = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 1
    assert "Error: settings failed" in said
    assert "started" not in said
    assert re.search(r"its last lines:\n  The settings are wrong:\n .*HOLDFAST_POSTGRES_URL", said)
    assert not living(Stack(folder))


def test_a_server_of_ones_own_is_used_and_not_touched(stack: Stack, folder: Path) -> None:
    url = stack.url("postgres")
    with running_stack(folder, HOLDFAST_POSTGRES_URL=url) as other:
        assert other.processes()["postgres"] == {
            "name": "postgres",
            "pid": None,
            "url": url,
            "state": "external",
            "restarts": 0,
        }
        result = holdfast(other, "kill", "postgres")
        assert result.exit_code == 1
        assert "postgres is not run by this stack: HOLDFAST_POSTGRES_URL says where it is" in result.output
    assert query(stack, "SELECT 1") == [(1,)]


def test_the_demo_plays_on_the_running_stack_and_proves_that_nothing_was_lost(stack: Stack) -> None:
    pid = recorded(stack)["postgres"][0]
    result = CliRunner().invoke(main, ["demo", "--dir", str(stack.layout.root)])
    assert result.exit_code == 0, result.output
    assert result.output.count("✓") == 6
    assert "200 × 202 Accepted" in result.output
    assert recorded(stack)["postgres"][0] not in (None, pid), "it was killed and started again"


def test_without_a_stack_every_command_says_how_to_start_one(folder: Path) -> None:
    for command in (["ps"], ["kill", "api"]):
        result = holdfast(Stack(folder), *command)
        assert result.exit_code == 1
        assert "start one with `holdfast stack up`" in result.output
