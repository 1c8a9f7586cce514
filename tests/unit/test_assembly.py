"""The memory profile, whole: one process, no servers."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.assembly import Role, System, assemble
from adapters.settings import Settings
from holdfast.breaker import State as BreakerState
from holdfast.errors import Unavailable
from holdfast.health import Status
from holdfast.operations.model import Applied, Kind, Refused, State
from holdfast.operations.write import Accepted
from tests.support.engine import operation
from tests.support.polling import until, until_seen

ROOT = Path(__file__).parents[2]
# No call is to run out of time, on any machine.
PATIENT: dict[str, Any] = {
    "store": "memory",
    "store_timeout": 20.0,
    "ledger_timeout": 20.0,
    "cache_timeout": 20.0,
    "write_patience": 20.0,
    "lease_ttl": 60.0,
}


@pytest.fixture
async def system() -> AsyncIterator[System]:
    system = assemble(Settings(**PATIENT, shutdown_grace=0.5))
    await system.start(Role.API)
    yield system
    await system.close()


async def test_a_write_is_applied_and_read_back(system: System) -> None:
    written = operation(resource="notes/1", payload={"a": 1})
    assert isinstance(await system.writer.write(written), Applied)
    record = (await system.reader.get(written.resource)).record
    assert record is not None
    assert record.data == {"a": 1}


async def test_what_is_held_is_replayed_by_the_process_itself(system: System) -> None:
    answers = [
        await system.writer.write(operation(resource="notes/1", payload={"n": n}), hold_at_once=True) for n in range(5)
    ]
    held = [answer for answer in answers if isinstance(answer, Accepted)]
    jobs = [await system.jobs.wait(answer.job.operation.id, seconds=60) for answer in held]
    assert [job.state for job in jobs if job] == [State.SUCCEEDED] * len(held)
    record = (await system.reader.get(operation().resource)).record
    assert record is not None
    assert (record.version, record.data) == (5, {"n": 4})


async def test_an_isolated_store_is_recovered_from_without_help(system: System) -> None:
    system.breakers["store"].isolate()
    answer = await system.writer.write(operation(resource="notes/1"))
    assert isinstance(answer, Accepted)
    system.breakers["store"].release()
    job = await system.jobs.wait(answer.job.operation.id, seconds=60)
    assert job is not None
    assert job.state is State.SUCCEEDED


async def test_health_tells_of_each_part_and_of_its_breaker(system: System) -> None:
    system.breakers["cache"].isolate()
    found: dict[str, Any] = {}

    async def look() -> bool:
        found.update(await system.health())
        return found["store"].status is Status.HEALTHY

    await until_seen(look)  # not at once where it took half a second
    assert set(found) == set(system.breakers) == {"store", "ledger", "cache"}
    assert (found["store"].status, found["store"].breaker) == (Status.HEALTHY, BreakerState.CLOSED)
    assert (found["cache"].status, found["cache"].breaker) == (Status.DEGRADED, BreakerState.ISOLATED)


async def test_metrics_show_the_backlog_and_the_breakers(system: System) -> None:
    system.breakers["store"].isolate()
    await system.writer.write(operation(resource="notes/1"))
    text = (await system.render_metrics()).decode()
    assert "holdfast_backlog_operations 1.0" in text
    assert 'holdfast_breaker_state{breaker="store"} 3.0' in text


async def test_closing_lets_a_write_in_flight_finish() -> None:
    system = assemble(Settings(**PATIENT))
    await system.start(Role.API)
    writes = [asyncio.ensure_future(system.writer.write(operation(resource=f"notes/{n}"))) for n in range(100)]
    await asyncio.sleep(0)
    await system.close()
    assert all(isinstance(write.result(), Applied) for write in writes)


async def test_closing_ends_every_task(caplog: pytest.LogCaptureFixture) -> None:
    before = asyncio.all_tasks()
    system = assemble(Settings(**PATIENT))
    await system.start(Role.API)
    system.breakers["store"].isolate()
    await system.writer.write(operation(resource="notes/1"))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        await system.close()
    assert asyncio.all_tasks() == before
    assert caplog.text == ""


async def test_what_does_not_end_in_time_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def a_cache_that_hangs() -> None:
        await asyncio.Event().wait()

    system = assemble(Settings(**PATIENT, shutdown_grace=0.05))
    system.flush = a_cache_that_hangs
    await system.close()
    assert "not ended in time" in caplog.text
    assert "a_cache_that_hangs" in caplog.text
    assert "object at 0x" not in caplog.text


async def test_a_loop_that_meets_a_bug_is_told_of_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    system = assemble(Settings(**PATIENT, sweep_interval=0.01))
    tries = 0

    async def buggy() -> int:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError

    system.sweeper.sweep = buggy  # type: ignore[method-assign]
    await system.start(Role.API)
    await until(lambda: tries >= 2)
    await system.close()
    assert "ZeroDivisionError" in caplog.text


async def test_a_definite_refusal_is_not_held(system: System) -> None:
    assert isinstance(await system.writer.write(operation(Kind.DELETE, "notes/none")), Refused)
    assert await system.ledger_stats() is not None


async def test_stats_say_so_when_the_ledger_cannot_be_asked(system: System) -> None:
    system.breakers["ledger"].isolate()
    assert await system.ledger_stats() is None


async def test_a_strict_process_refuses_while_the_ledger_cannot_be_asked() -> None:
    system = assemble(Settings(**PATIENT, ordering="strict"))
    system.breakers["ledger"].isolate()
    with pytest.raises(Unavailable):
        await system.writer.write(operation(resource="notes/1"))
    await system.close()


def test_the_memory_profile_needs_no_driver_and_no_celery() -> None:
    script = """
import sys
from adapters.assembly import assemble
from adapters.settings import Settings
assemble(Settings(store="memory"))
print([name for name in ("celery", "redis", "psycopg", "sqlalchemy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
