"""The metrics of worker and sweeper, on their own ports, while children and workers die."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import httpx
import pytest

from adapters.assembly import Role
from tests.support.processes import free_port
from tests.support.scrapes import Values, scrape, total, values
from tests.support.workers import Program, Site, eventually, hold, running_site, settled

APPLIED = ("holdfast_call_duration_seconds_count", "store", "apply", "ok")
RUNS = "holdfast_replay_run_duration_seconds_count"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site(metrics_host="127.0.0.1") as site:
        yield site


@pytest.fixture(autouse=True)
def _no_program_is_left(site: Site) -> Iterator[None]:
    yield
    while site.programs:
        site.programs.pop().kill()


def look(port: int) -> Values:
    return values(scrape(f"http://127.0.0.1:{port}"))


async def test_the_counts_of_all_children_add_up_and_a_child_that_dies_takes_none_with_it(site: Site) -> None:
    port = free_port()
    worker = site.start(metrics_port=port, worker_concurrency=2).until_ready()
    await replay(site)
    await eventually(lambda: look(port)[("holdfast_worker_children",)] == 2, "both children are there")
    await eventually(lambda: total(look(port), RUNS) >= 1, "a replay has come to its end")
    before = look(port)
    assert total(before, *APPLIED) >= 1
    await kill_the_children(worker, port)
    after = look(port)
    assert not fallen(before, after)
    await replay(site)
    last = look(port)
    assert not fallen(after, last)
    assert total(last, *APPLIED) > total(before, *APPLIED)
    assert len({key for key in last if key[0] == RUNS}) == 1


async def replay(site: Site) -> None:
    """Have work done elsewhere, though a doorbell may be lost with a child."""
    async with site.system(Role.API, backup_sweep_interval=0.5, workers_silent_after=1000) as system:
        await settled(system, await hold(system, mailboxes=20))


async def kill_the_children(worker: Program, port: int) -> None:
    old = worker.children()
    for child in old:
        child.send_signal(signal.SIGKILL)

    def others_have_come() -> bool:
        pids = {child.pid for child in worker.children()}
        return len(pids) == len(old) and not pids & {child.pid for child in old}

    await eventually(others_have_come, "other children have come")
    await eventually(lambda: look(port)[("holdfast_worker_children",)] == len(old), "they are seen")


def fallen(before: Values, after: Values) -> list[tuple[str, ...]]:
    """Sums that are less than they were, or are gone."""
    sums = ("_total", "_count", "_sum", "_bucket")
    return [key for key, value in before.items() if key[0].endswith(sums) and after.get(key, -1.0) < value]


async def test_a_worker_leaves_its_port_to_the_next_which_begins_anew(site: Site) -> None:
    port = free_port()
    first = site.start(metrics_port=port).until_ready()
    await replay(site)
    first.kill()
    second = site.start(metrics_port=port).until_ready()
    await eventually(lambda: look(port)[("holdfast_worker_children",)] == 2, "both children are there")
    assert total(look(port), *APPLIED) == 0
    assert second.terminate() == 0
    with pytest.raises(httpx.ConnectError):
        look(port)


async def test_the_sweeper_tells_the_facts_of_the_ledger_while_it_can_ask_it(site: Site) -> None:
    port = free_port()
    patient = {"store_timeout": 10, "ledger_timeout": 10}
    site.start("worker.sweeper", metrics_port=port, workers_silent_after=0.5, **patient).until_ready()
    before = look(port)
    await replay(site)  # there is no worker: the sweeper does it
    await eventually(lambda: total(look(port), "holdfast_sweeper_replays_total") >= 20, "they are counted")
    after = look(port)
    assert after[("holdfast_operations_held_total",)] - before[("holdfast_operations_held_total",)] == 40
    assert total(after, "holdfast_swept_mailboxes_total") >= 20
    assert after["holdfast_breaker_state", "store"] == 0
    assert total(after, "holdfast_event_loop_lag_seconds_count") > 0
    site.valkey.kill()
    try:
        await eventually(lambda: look(port)[("holdfast_ledger_known",)] == 0, "it does not know")
        assert ("holdfast_backlog_operations",) not in look(port)
    finally:
        site.valkey.start()
    await eventually(lambda: ("holdfast_backlog_operations",) in look(port), "it knows again")


@pytest.mark.parametrize("module", ["worker", "worker.sweeper"])
async def test_a_port_that_cannot_be_had_ends_the_program_with_the_reason(site: Site, module: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = site.start(module, metrics_port=port)
        await eventually(lambda: not program.running, "it ends")
        assert f"cannot serve metrics on 127.0.0.1 port {port}: Address already in use; set" in program.log()
        assert program.exit_code == 3
