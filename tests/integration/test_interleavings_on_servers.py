"""The races that matter most on PostgreSQL and Valkey, one process standing at a crash point while another runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from adapters.assembly import System
from holdfast.operations.model import Applied, Job, Kind, Operation, State
from holdfast.operations.write import Accepted
from tests.support.engine import again, operation
from tests.support.polling import until
from tests.support.workers import Site, now, running_site, settled

# Nobody is given up while the other one runs.
PATIENT = {"store_timeout": 30, "ledger_timeout": 30, "write_patience": 60, "lease_ttl": 60}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


class Standing:
    """Has the next call that comes to the point wait there, until `go_on`."""

    def __init__(self, folder: Path, point: str) -> None:
        (folder / point).write_text("pause")
        self._there = folder / f"{point}.passed"

    async def there(self) -> None:
        await until(self._there.exists, seconds=60)

    def go_on(self) -> None:
        self._there.unlink()


def merge(number: int, resource: str, *, key: str | None = None) -> Operation:
    return operation(Kind.MERGE, resource, {f"m{number}": number}, key=key)


async def with_base(system: System, resource: str) -> None:
    assert isinstance(await system.writer.write(operation(resource=resource, payload={})), Applied)


async def held(system: System, *operations: Operation) -> list[Job]:
    answers = [await system.writer.write(one, hold_at_once=True) for one in operations]
    return [answer.job for answer in answers if isinstance(answer, Accepted)]


async def content(system: System, one: Operation) -> tuple[int, set[str]]:
    """The version of its record, and which merges it holds."""
    record = (await system.reader.get(one.resource)).record
    assert record is not None
    return record.version, set(record.data or {})


@pytest.mark.parametrize("point", ["gate.done", "apply.before", "apply.done"])
async def test_two_processes_with_one_key_have_one_effect(site: Site, tmp_path: Path, point: str) -> None:
    resource = f"keys/{point}"
    async with site.system(**PATIENT, crash_points=tmp_path) as one, site.system(**PATIENT) as other:
        await with_base(other, resource)
        asked = merge(1, resource, key=point)
        standing = Standing(tmp_path, point)
        first = asyncio.ensure_future(one.writer.write(asked))
        await standing.there()
        second = await other.writer.write(again(asked))
        standing.go_on()
        answers = [await first, second]
        assert all(isinstance(answer, Applied) and answer.record.version == 2 for answer in answers)
        assert [isinstance(answer, Applied) and answer.replayed for answer in answers].count(True) == 1
        assert await content(other, asked) == (2, {"m1"})


@pytest.mark.parametrize("point", ["gate.done", "apply.before"])
async def test_a_live_write_that_stands_loses_nothing_to_what_is_held_and_replayed_meanwhile(
    site: Site, tmp_path: Path, point: str
) -> None:
    resource = f"live/{point}"
    async with site.system(**PATIENT, crash_points=tmp_path) as one, site.system(**PATIENT) as other:
        await with_base(other, resource)
        standing = Standing(tmp_path, point)
        live = asyncio.ensure_future(one.writer.write(merge(1, resource)))
        await standing.there()
        late = merge(2, resource)
        jobs = await held(other, late)
        await other.replayer.replay()
        standing.go_on()
        assert isinstance(await live, Applied)
        assert [job.state for job in await settled(other, jobs)] == [State.SUCCEEDED]
        assert await content(other, late) == (3, {"m1", "m2"})


@pytest.mark.parametrize("point", ["lease.done", "replay.done", "settle.before"])
async def test_a_replay_that_wakes_after_its_lease_settles_nothing_but_its_own(
    site: Site, tmp_path: Path, point: str
) -> None:
    resource = f"late/{point}"
    short = {"store_timeout": 2, "ledger_timeout": 30, "lease_ttl": 2}
    async with site.system(**short, crash_points=tmp_path) as one, site.system(**PATIENT) as other:
        await with_base(other, resource)
        jobs = await held(other, merge(1, resource), merge(2, resource))
        standing = Standing(tmp_path, point)
        sleeper = asyncio.ensure_future(one.replayer.replay())
        await standing.there()
        await repeatedly(other.replayer.replay, lambda: all_settled(other, jobs))
        after = merge(3, resource)
        jobs += await held(other, after)
        standing.go_on()
        await sleeper
        await repeatedly(other.replayer.replay, lambda: all_settled(other, jobs))
        assert {job.state for job in await now(other, jobs)} == {State.SUCCEEDED}
        assert await content(other, after) == (4, {"m1", "m2", "m3"})


@pytest.mark.parametrize("point", ["lease.done", "replay.before", "replay.done", "settle.before"])
async def test_what_is_being_replayed_cannot_be_cancelled(site: Site, tmp_path: Path, point: str) -> None:
    resource = f"cancel/{point}"
    async with site.system(**PATIENT, crash_points=tmp_path) as one, site.system(**PATIENT) as other:
        await with_base(other, resource)
        held_one = merge(1, resource)
        jobs = await held(other, held_one)
        standing = Standing(tmp_path, point)
        replaying = asyncio.ensure_future(one.replayer.replay())
        await standing.there()
        assert not (await other.jobs.cancel(held_one.id)).done
        standing.go_on()
        await replaying
        assert [job.state for job in await settled(other, jobs)] == [State.SUCCEEDED]
        assert await content(other, held_one) == (2, {"m1"})


async def all_settled(system: System, jobs: list[Job]) -> bool:
    return all(job.state.settled for job in await now(system, jobs))


async def repeatedly(work: Callable[[], Awaitable[object]], done: Callable[[], Awaitable[bool]]) -> None:
    """Until it is done; a minute at most."""
    async with asyncio.timeout(60):
        while not await done():
            await work()
