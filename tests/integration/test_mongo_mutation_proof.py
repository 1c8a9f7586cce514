"""With the safeguards that keep an operation on MongoDB from a second effect nothing is found, without one it is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import UpdateOne

from adapters.memory_cache import MemoryCache
from adapters.memory_ledger import MemoryLedger
from adapters.mongo_store import database, documents
from chaos.checker import check
from chaos.history import Event
from chaos.wire import Change
from holdfast.operations.model import Resource
from holdfast.operations.plan import Group
from holdfast.testing.clock import FakeClock
from holdfast.testing.faults import lost
from tests.support.clients import Clients
from tests.support.engine import World
from tests.support.mongo import mongo_store

NAME = "notes/a"


def change(kind: str, tag: str) -> Change:
    return Change(kind, "notes", "a", tag, key=tag)


async def history(url: str, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Of two processes: each has an answer of the store lost, so that it is held and replayed, and both meet."""
    clock, cache = FakeClock(), MemoryCache()
    ledger, clients = MemoryLedger(clock=clock), Clients(clock)
    async with mongo_store(url) as one, mongo_store(url) as other:
        worlds = [World(servers=(store, ledger, cache), clock=clock) for store in (one, other)]
        await clients.send(worlds[0], change("replace", "first"))
        for number, world in enumerate(worlds):
            world.store.next("apply", lost)
            answer = await clients.send(world, change("merge", f"held{number}"))
            assert answer is not None
            assert answer.job is not None
            await world.replayer.replay([Resource.parse(NAME)])
            await clients.look(world, answer.job)
        with monkeypatch.context() as patched:
            patched.setattr(database, "write", meeting(database.write))
            await asyncio.gather(*(clients.send(worlds[n % 2], change("merge", f"direct{n}")) for n in range(6)))
        clients.heal()
        await clients.send(worlds[0], change("replace", "last"))
        await clients.look_at_the_end(worlds[0], [NAME])
    return clients.events


def meeting(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The first two writes are not sent until both are planned."""
    planned, met = itertools.count(1), asyncio.Event()

    async def written(*arguments: Any) -> Any:
        if next(planned) == 2:
            met.set()
        await met.wait()
        return await write(*arguments)

    return written


def rules(events: list[Event]) -> set[str]:
    return {violation.rule for violation in check(events, settle_within=60.0)}


def without_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns that an operation is there already."""
    monkeypatch.setattr(database.Look, "_learn", lambda *_: None)


def without_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write lands whatever has been written since it was planned."""
    real = documents.write

    def write(group: Group, before: documents.Held) -> documents.Write:
        made = real(group, before)
        anyhow = UpdateOne({"_id": documents.key(group.resource)}, made.statement._doc, upsert=True)
        return documents.Write(made.resource, anyhow, made.move)

    monkeypatch.setattr(documents, "write", write)


async def test_with_every_safeguard_in_place_nothing_is_found(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules(await history(mongo_url, monkeypatch)) == set()


@pytest.mark.parametrize(("take_out", "seen"), [(without_ids, "gap"), (without_revision, "claim")])
async def test_the_checker_sees_what_is_missing(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch, take_out: Callable[[pytest.MonkeyPatch], None], seen: str
) -> None:
    take_out(monkeypatch)
    assert seen in rules(await history(mongo_url, monkeypatch))
