"""What the store makes of MongoDB's errors, told apart by class, code and label alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import errors as driver

from adapters.mongo_store import CommandFailed, MongoStore, migrate
from adapters.mongo_store.errors import ConnectionLost, Outrun, Unstorable, of_statement, translate
from holdfast.errors import OutcomeUnknown, Unavailable
from holdfast.operations.model import Applied, Fault, ProblemType, Refused
from tests.support.mongo import client, mongo_store
from tests.support.polling import until_seen
from tests.support.processes import Server
from tests.support.stores import create, merge

NOT_PRIMARY = {"code": 10107, "ok": 0.0}


@pytest.fixture
async def store(private_mongo: Server) -> AsyncIterator[MongoStore]:
    await migrate(private_mongo.url)
    async with mongo_store(private_mongo.url, timeout=20.0, patience=2.5) as store:
        await store.ping()
        yield store


def fail(server: Server, *commands: str, times: int | None = None, **what: Any) -> None:
    """times: how often; until the end of the test if None."""
    mode = "alwaysOn" if times is None else {"times": times}
    with client(server.url) as connected:
        data = {"failCommands": list(commands), **what}
        connected.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)


def mend(server: Server) -> None:
    with client(server.url) as connected:
        connected.admin.command("configureFailPoint", "failCommand", mode="off")


TROUBLES: dict[str, dict[str, Any]] = {
    "the primary has changed": {"errorCode": 10107},
    "the primary steps down": {"errorCode": 189},
    "the server shuts down": {"errorCode": 91},
    "the connection breaks": {"closeConnection": True},
}
UNSURE: dict[str, dict[str, Any]] = {
    "the time ran out": {"errorCode": 50},
    "a majority did not confirm": {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
    "the server shut down after it": {"writeConcernError": {"code": 91, "errmsg": "shutdown"}},
    "the disk is full": {"errorCode": 14031},
}
REFUSED: dict[str, dict[str, Any]] = {
    "not allowed": {"errorCode": 13},
    "not known": {"errorCode": 18},
    "overloaded": {"errorCode": 462, "errorLabels": ["SystemOverloadedError", "RetryableError"]},
}


@pytest.mark.parametrize("trouble", list(TROUBLES))
async def test_a_server_that_has_changed_once_hurts_nobody(
    store: MongoStore, private_mongo: Server, trouble: str
) -> None:
    fail(private_mongo, "update", times=1, **TROUBLES[trouble])
    (result,) = await store.apply([create("a")])
    assert isinstance(result, Applied)
    assert result.record.version == 1


@pytest.mark.parametrize("trouble", [*TROUBLES, *UNSURE])
async def test_a_write_that_may_have_happened_is_unknown_and_its_repeat_has_one_effect(
    store: MongoStore, private_mongo: Server, trouble: str
) -> None:
    one = create("a")
    fail(private_mongo, "update", **(TROUBLES | UNSURE)[trouble])
    with pytest.raises(OutcomeUnknown):
        await store.apply([one])
    mend(private_mongo)
    (result,) = await store.apply([one])
    assert isinstance(result, Applied)
    assert (result.record.version, result.replayed) == (1, "writeConcernError" in (TROUBLES | UNSURE)[trouble])


@pytest.mark.parametrize("trouble", [*TROUBLES, *REFUSED])
async def test_a_look_that_fails_means_that_nothing_has_happened(
    store: MongoStore, private_mongo: Server, trouble: str
) -> None:
    fail(private_mongo, "find", **(TROUBLES | REFUSED)[trouble])
    with pytest.raises(Unavailable):
        await store.apply([merge("a", {})])


@pytest.mark.parametrize("trouble", list(REFUSED))
async def test_a_read_that_is_refused_is_unavailable(store: MongoStore, private_mongo: Server, trouble: str) -> None:
    fail(private_mongo, "find", **REFUSED[trouble])
    with pytest.raises(Unavailable):
        await store.read([create("a").resource])


@pytest.mark.usefixtures("store")
async def test_documents_that_others_change_at_the_same_time_are_tried_again(private_mongo: Server) -> None:
    fail(private_mongo, "update", times=2, errorCode=112)
    async with mongo_store(private_mongo.url, timeout=20.0, patience=20.0) as patient:
        results = await patient.apply([create("a"), create("b")])
    assert [isinstance(result, Applied) and result.record.version for result in results] == [1, 1]


async def test_a_slow_server_is_not_taken_for_many_who_compete(store: MongoStore, private_mongo: Server) -> None:
    one = create("a")
    await store.apply([one])
    fail(private_mongo, "update", blockConnection=True, blockTimeMS=300)
    async with mongo_store(private_mongo.url, timeout=20.0, patience=0.1) as hasty:
        (result,) = await hasty.apply([one])
    assert isinstance(result, Applied)
    assert result.replayed


async def test_a_health_check_that_is_slow_holds_no_write_up(store: MongoStore, private_mongo: Server) -> None:
    fail(private_mongo, "listIndexes", blockConnection=True, blockTimeMS=1500)

    async def writes_are_first() -> bool:
        checking = asyncio.ensure_future(store.ping())
        for n in range(3):
            await store.apply([create(f"a{n}")])
        are_first = not checking.done()
        await checking
        return are_first

    await until_seen(writes_are_first, "three writes are done before the check")


async def test_an_error_of_our_own_is_a_fault_of_each_and_no_outage(store: MongoStore, private_mongo: Server) -> None:
    fail(private_mongo, "update", errorCode=9)
    results = await store.apply([create("a"), create("b")])
    assert [type(result) for result in results] == [Fault, Fault]
    assert isinstance(results[0], Fault)
    assert isinstance(results[0].error, CommandFailed)


async def test_a_rule_that_the_owner_of_the_database_has_added_refuses_what_breaks_it_alone(
    store: MongoStore, private_mongo: Server
) -> None:
    with client(private_mongo.url) as connected:
        records = connected.get_default_database().records
        records.create_index("data.email", unique=True, partialFilterExpression={"data.email": {"$exists": True}})
    mine = {"email": "ada@example.com"}
    bad = create("b", mine)
    results = await store.apply([create("a", mine), bad, create("c")])
    assert [type(result) for result in results] == [Applied, Refused, Applied]
    for refused in (results[1], *await store.apply([bad])):
        assert isinstance(refused, Refused)
        assert refused.problem.type is ProblemType.UNSTORABLE
        assert "ada@example.com" not in refused.problem.detail
    (again,) = await store.apply([bad])
    assert isinstance(again, Refused)
    assert again.replayed


async def test_a_document_that_does_not_pass_validation_is_refused_alone(
    store: MongoStore, private_mongo: Server
) -> None:
    with client(private_mongo.url) as connected:
        rule = {"$jsonSchema": {"properties": {"data": {"properties": {"n": {"maximum": 9}}}}}}
        connected.get_default_database().command("collMod", "records", validator=rule)
    results = await store.apply([create("a", {"n": 1}), create("b", {"n": 10}), create("c", {"n": 9})])
    assert [type(result) for result in results] == [Applied, Refused, Applied]


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (driver.ServerSelectionTimeoutError("no primary"), Unavailable),
        (driver.WaitQueueTimeoutError("pool"), Unavailable),
        (driver.AutoReconnect("refused", {"errorLabels": ["SystemOverloadedError"]}), Unavailable),
        (driver.NotPrimaryError("no", {**NOT_PRIMARY, "errorLabels": ["NoWritesPerformed"]}), Unavailable),
        (driver.NotPrimaryError("no", NOT_PRIMARY), ConnectionLost),
        (driver.AutoReconnect("closed"), ConnectionLost),
        (driver.NetworkTimeout("slow"), OutcomeUnknown),
        (driver.ExecutionTimeout("slow", 50), OutcomeUnknown),
        (driver.CursorNotFound("restarted", 43), OutcomeUnknown),
        (driver.OperationFailure("restarted", 237), OutcomeUnknown),
        (driver.WriteConcernError("w", 64), OutcomeUnknown),
        (driver.OperationFailure("conflict", 112), Outrun),
        (driver.OperationFailure("deep", 15), Unstorable),
        (driver.OperationFailure("what", 4242), CommandFailed),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_what_an_error_means(error: driver.PyMongoError, means: type[Exception]) -> None:
    assert type(translate(error)) is means


@pytest.mark.parametrize(
    ("pattern", "means"),
    [
        ({"_id": 1}, Outrun),
        ({"operations.id": 1}, Outrun),
        ({"operations.twin": 1}, Outrun),
        ({"data.email": 1}, Unstorable),
    ],
)
def test_a_duplicate_key_is_a_race_only_where_the_key_is_ours(pattern: dict[str, int], means: type[Exception]) -> None:
    assert type(of_statement({"code": 11000, "keyPattern": pattern})) is means


def test_the_server_s_words_which_may_quote_the_data_are_dropped() -> None:
    words = "Invalid: { name: 'Ada' }"
    for error in (
        driver.OperationFailure(words, 9, {"errmsg": words}),
        driver.NotPrimaryError(words, {"errmsg": words}),
    ):
        assert "Ada" not in str(translate(error))
