"""What MongoDB's documents remember of operations: enough, and no more than fits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from adapters.mongo_store import MongoStore, database, documents
from adapters.mongo_store.values import CODEC
from holdfast.errors import Transient, Unavailable
from holdfast.operations.model import Applied, Fault, JsonObject, Kind, Operation, Origin, ProblemType, Refused, Result
from holdfast.operations.plan import plan
from tests.support.mongo import client, mongo_store
from tests.support.polling import until
from tests.support.stores import create, merge, operation

FAR_AHEAD = 32_503_680_000.0
MEGABYTE = 1 << 20


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[MongoStore]:
    async with mongo_store(mongo_url) as store:
        yield store


def document(url: str, id_: str) -> dict[str, Any]:
    with client(url) as connected:
        found = connected.get_default_database(codec_options=CODEC).records.find_one({"_id": f"notes/{id_}"})
    assert found is not None
    return found


def moved(url: str) -> int:
    with client(url) as connected:
        return connected.get_default_database().records.count_documents({"applied_at": {"$exists": True}})


async def one(store: MongoStore, operation: Operation) -> Result:
    (result,) = await store.apply([operation])
    return result


async def merges(store: MongoStore, id_: str, count: int, data: JsonObject | None = None) -> list[Operation]:
    """Applied one by one."""
    made = [merge(id_, data or {"n": n}) for n in range(count)]
    for each in made:
        assert isinstance(await one(store, each), Applied)
    return made


async def test_a_record_written_often_stays_small_and_knows_every_operation(store: MongoStore, mongo_url: str) -> None:
    first = create("a")
    await store.apply([first])
    operations = [first, *await merges(store, "a", 70)]
    assert len(document(mongo_url, "a")["operations"]) <= 32
    assert moved(mongo_url) + len(document(mongo_url, "a")["operations"]) == 71
    answers = await store.apply([operations[n] for n in (0, 1, 20, 40, 69, 70)])
    assert [isinstance(each, Applied) and (each.replayed, each.record.version) for each in answers] == [
        (True, version) for version in (1, 2, 21, 41, 70, 71)
    ]
    assert document(mongo_url, "a")["version"] == 71
    third = answers[2]
    assert isinstance(third, Applied)
    assert third.record.data == {"n": 19}


@pytest.mark.parametrize("origin", list(Origin))
async def test_a_repeat_of_one_moved_long_ago_changes_nothing_whichever_way_it_comes(
    store: MongoStore, origin: Origin
) -> None:
    old = merge("a", {"old": True}, keyed=False)
    await store.apply([create("a"), old])
    await merges(store, "a", 33, {"old": None})
    again = await one(store, replace(old, origin=origin))
    assert isinstance(again, Applied)
    assert (again.replayed, again.record.version) == (True, 2)
    (record,) = await store.read([old.resource])
    assert record is not None
    assert (record.version, record.data) == (35, {})


async def test_a_write_that_arrives_when_its_operation_was_moved_long_ago_does_nothing(
    store: MongoStore, mongo_url: str
) -> None:
    one = merge("a", {"late": True})
    await store.apply([create("a")])
    before = documents.held(document(mongo_url, "a"))
    assert before.record is not None
    (group,) = plan([(0, one)], {one.resource: before.record}, {})
    late = documents.write(group, before)
    await store.apply([one])
    await merges(store, "a", 33, {"late": None})
    with client(mongo_url) as connected, pytest.raises(BulkWriteError) as failed:
        connected.get_default_database().records.bulk_write([late.statement], ordered=False)
    assert [error["code"] for error in failed.value.details["writeErrors"]] == [11000]
    assert (document(mongo_url, "a")["version"], document(mongo_url, "a")["data"]) == (35, {})


async def test_an_id_moved_long_ago_is_taken_for_every_other_record(store: MongoStore) -> None:
    old = create("a")
    await store.apply([old])
    await merges(store, "a", 33)
    for other in (create("b", id=old.id, fingerprint="f1"), merge("a", {}, id=old.id, fingerprint="f1")):
        refused = await one(store, other)
        assert isinstance(refused, Refused)
        assert refused.problem.type is ProblemType.KEY_REUSED
    assert await store.read([create("b").resource]) == [None]


@pytest.mark.parametrize("sent", range(4))
async def test_an_id_is_taken_at_every_moment_of_its_move(
    store: MongoStore, mongo_url: str, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    """Also for who has looked for it before it was there at all. sent: how many of the move's steps are done."""
    old = create("a")
    stolen = create("b", id=old.id, fingerprint="f1")
    late = documents.write(plan([(0, stolen)], {}, {})[0], documents.Held())
    await store.apply([old])
    await merges(store, "a", 31)
    with monkeypatch.context() as patched:
        broken_off_after(sent, patched)
        with contextlib.suppress(Transient):
            await store.apply([merge("a", {})])
    assert moved(mongo_url) == (32 if sent > 1 else 0)
    with client(mongo_url) as connected, pytest.raises(BulkWriteError) as failed:
        connected.get_default_database().records.bulk_write([late.statement], ordered=False)
    assert [error["code"] for error in failed.value.details["writeErrors"]] == [11000]
    refused = await one(store, stolen)
    assert isinstance(refused, Refused)
    assert refused.problem.type is ProblemType.KEY_REUSED


async def test_a_key_that_comes_again_for_another_record_while_its_operation_is_moved_is_refused(
    store: MongoStore, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = create("a")
    stolen = operation(Kind.REPLACE, "b", {}, id=old.id, fingerprint="f1")
    real, looked, go_on = database.write, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        if any(write.resource == stolen.resource for write in arguments[2]):
            looked.set()
            await go_on.wait()
        return await real(*arguments)

    await store.apply([old])
    async with mongo_store(mongo_url) as peer:
        monkeypatch.setattr(database, "write", slow)
        answer = asyncio.ensure_future(one(peer, stolen))
        await until(looked.is_set)
        await merges(store, "a", 33)
        go_on.set()
        refused = await answer
    assert isinstance(refused, Refused)
    assert refused.problem.type is ProblemType.KEY_REUSED
    assert moved(mongo_url) == 32
    assert await store.read([stolen.resource]) == [None]


@pytest.mark.parametrize("sent", range(3))
async def test_a_move_that_was_broken_off_is_done_by_the_next_write(
    store: MongoStore, mongo_url: str, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    operations = [create("a")]
    await store.apply(operations)
    operations += await merges(store, "a", 31)
    with monkeypatch.context() as patched:
        broken_off_after(sent, patched)
        with pytest.raises(Transient):
            await store.apply([merge("a", {"never": True})])
    answers = await store.apply(operations)
    operations += await merges(store, "a", 1)
    assert moved(mongo_url) == 32
    answers += await store.apply(operations)
    assert [isinstance(each, Applied) and (each.replayed, each.record.version) for each in answers] == [
        (True, version) for version in (*range(1, 33), *range(1, 34))
    ]


def broken_off_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes so many writes of a move, and no more."""
    left = steps

    def once(real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def step(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Unavailable("the server is gone")
            left -= 1
            return await real(*arguments)

        return step

    for name in ("loosen", "copy", "write"):
        monkeypatch.setattr(database, name, once(getattr(database, name)))


async def test_operations_are_moved_and_repeated_at_the_same_time_and_none_takes_effect_twice(
    store: MongoStore, mongo_url: str
) -> None:
    operations = [create("a"), *(merge("a", {f"m{n}": n}) for n in range(120))]
    async with mongo_store(mongo_url) as peer:
        await store.apply(operations[:1])
        stores = (store, peer)
        batches = [operations[n % 100 : n % 100 + 20] for n in range(0, 300, 7)]
        await asyncio.gather(*(stores[n % 2].apply(batch) for n, batch in enumerate(batches)))
        answers = await peer.apply(operations)
    assert all(isinstance(each, Applied) for each in answers)
    found = document(mongo_url, "a")
    assert found["version"] == len(operations)
    assert found["data"] == {f"m{n}": n for n in range(120)}


async def test_large_results_of_merges_make_room_for_each_other(store: MongoStore, mongo_url: str) -> None:
    await store.apply([create("a", {"text": "x" * 3 * MEGABYTE})])
    operations = await merges(store, "a", 6)
    last = merge("a", {"last": True})
    results = await store.apply([*(merge("a", {"batch": n}) for n in range(6)), last])
    assert [isinstance(result, Applied) and result.record.version for result in results] == [*range(8, 15)]
    early = await one(store, operations[1])
    assert isinstance(early, Applied)
    assert (early.replayed, early.record.version) == (True, 3)
    assert early.record.data is not None
    assert (early.record.data["n"], len(early.record.data["text"])) == (1, 3 * MEGABYTE)


@pytest.mark.parametrize("keyed", [True, False])
async def test_what_does_not_fit_a_document_is_refused_for_good_and_alone(store: MongoStore, keyed: bool) -> None:
    fits = create("a", {"text": "x" * 9 * MEGABYTE})
    too_large = merge("a", {"more": "y"}, keyed=keyed)  # the record, and the record once more as the merge's answer
    results = await store.apply([fits, too_large, create("b", {"text": "x" * 17 * MEGABYTE}), create("c")])
    assert [type(result) for result in results] == [Applied, Refused, Refused, Applied]
    assert isinstance(results[1], Refused)
    assert results[1].problem.type is ProblemType.UNSTORABLE
    assert "16 MB" in results[1].problem.detail
    again = await one(store, too_large)
    assert isinstance(again, Refused)
    assert again.replayed is keyed


async def test_forgetting_begins_where_it_has_been_longest_and_spares_what_is_younger(
    store: MongoStore, mongo_url: str
) -> None:
    await store.apply([create("a")])
    await merges(store, "a", 39)
    await store.apply([create("b"), operation(create("x").kind, "b")])
    total = 40 + 2
    assert await store.prune(before=1.0, limit=100) == 0
    counts = [await store.prune(before=FAR_AHEAD, limit=15) for _ in range(4)]
    assert counts == [15, 15, 12, 0]
    assert sum(counts) == total
    assert moved(mongo_url) == 0
    assert "operations" not in document(mongo_url, "a")
    assert isinstance(await one(store, merge("a", {"n": 9})), Applied)


async def test_a_refusal_to_remember_leaves_nothing_once_it_is_forgotten(store: MongoStore, mongo_url: str) -> None:
    await store.apply([merge("nothing", {})])
    assert document(mongo_url, "nothing")["version"] == 0
    assert await store.read([create("nothing").resource]) == [None]
    assert await store.page("notes", after=None, limit=9) == []
    assert await store.prune(before=FAR_AHEAD, limit=10) == 1
    with client(mongo_url) as connected:
        assert connected.get_default_database().records.count_documents({}) == 0


@pytest.mark.parametrize(
    "data",
    [
        {"a": {"$ref": "x", "$id": 1}, "$ref": "y", "$id": {"z": None}},
        {"n": [2**63, -(2**63) - 1, 10**33 + 1, int("9" * 34) * 10**60]},
        {"text": "a\0b", "$date": 5, "$numberLong": "7", "_id": {"$oid": "no"}},
    ],
)
async def test_data_that_means_something_to_mongodb_comes_back_as_it_was(store: MongoStore, data: JsonObject) -> None:
    await store.apply([create("a", data)])
    (record,) = await store.read([create("a").resource])
    assert record is not None
    assert record.data == data
    assert isinstance(await one(store, merge("a", {"more": 1})), Applied)


@pytest.mark.parametrize("data", [{"a\0b": 1}, {"n": 10**34 + 1}, {"n": 10**7000}, {"s": "\ud800"}, {"\udfff": 1}])
async def test_data_that_bson_cannot_say_is_refused_with_a_reason(store: MongoStore, data: JsonObject) -> None:
    result = await one(store, create("a", data))
    assert isinstance(result, Refused)
    assert result.problem.type is ProblemType.UNSTORABLE
    assert "NUL" in result.problem.detail or "number" in result.problem.detail or "Unicode" in result.problem.detail


async def test_what_is_not_json_is_a_fault_and_its_text_says_nothing_of_the_data(store: MongoStore) -> None:
    result = await one(store, create("a", {"secret": {1, 2}}))
    assert isinstance(result, Fault)
    assert "secret" not in str(result.error)
