"""The store while its MongoDB is killed, restarted, frozen, not ready or not to be reached."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from adapters.mongo_store import MongoOptions, MongoStore, migrate
from holdfast.errors import Abandoned, OutcomeUnknown, Transient, Unavailable
from holdfast.operations.model import Applied, Kind, Resource, Result
from holdfast.timeout import abandon_after
from tests.support.certificates import self_signed
from tests.support.mongo import client, mongo_store, running_mongo
from tests.support.polling import until, until_seen
from tests.support.processes import Server
from tests.support.stores import create, merge, operation

A = Resource("notes", "a")
DEADLINE = 1.0

# pymongo leaves the socket of an attempt to connect that is cancelled, or fails in TLS, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
async def store(private_mongo: Server) -> AsyncIterator[MongoStore]:
    await migrate(private_mongo.url)
    async with mongo_store(private_mongo.url) as store:
        await connected(store, 4)
        yield store
        private_mongo.thaw()


async def connected(store: MongoStore, count: int) -> None:
    """Have so many connections made, which are then free: to a frozen server there are no new ones."""

    async def are_there() -> bool:
        await asyncio.gather(*(store.read([A]) for _ in range(count)))
        return store.pool().idle >= count

    await until_seen(are_there)


async def test_a_store_is_made_and_refuses_while_its_server_is_down_and_works_when_it_is_up(
    private_mongo: Server,
) -> None:
    private_mongo.stop()
    async with mongo_store(private_mongo.url, timeout=0.3, patience=0.1) as store:
        for call in (
            lambda: store.apply([create("a")]),
            lambda: store.read([A]),
            lambda: store.page("notes", after=None, limit=1),
            store.ping,
        ):
            with pytest.raises(Unavailable):
                await call()
        with pytest.raises(Transient):
            await store.prune(before=0.0, limit=1)
    private_mongo.start()
    await migrate(private_mongo.url)
    async with mongo_store(private_mongo.url) as store:
        assert isinstance((await store.apply([create("a")]))[0], Applied)


async def test_a_server_that_is_down_holds_no_call_past_its_time(
    private_mongo: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_mongo.kill()
    async with mongo_store(private_mongo.url, timeout=1.05, patience=0.1) as store:
        # So late may the driver see that time is up while it looks for a server; without this it is half a second.
        monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 6.0)
        for operation in (create("a", keyed=False), merge("a", {})):
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable):
                    await store.apply([operation])


async def test_calls_given_up_while_the_server_is_away_do_not_keep_the_store_from_it(private_mongo: Server) -> None:
    """pymongo, cancelled while it looks for a server, and again while it tidies up, keeps a lock for ever."""
    await migrate(private_mongo.url)
    async with mongo_store(private_mongo.url, timeout=2.0, patience=0.1) as store:
        await until_seen(lambda: _answers(store), "it is found")
        private_mongo.kill()
        with pytest.raises(Transient):
            await store.ping()
        calls = [asyncio.ensure_future(store.read([A])) for _ in range(20)]
        await asyncio.wait(calls, timeout=0.3)
        for _ in range(6):
            for n, call in enumerate(calls):
                call.cancel()
                if n % 3 == 0:
                    await asyncio.sleep(0)
        await asyncio.wait(calls)
        private_mongo.start()
        await until_seen(lambda: _answers(store), "it is found again")


async def _answers(store: MongoStore) -> bool:
    await store.ping()
    return True


async def test_nothing_is_written_until_the_indexes_are_there(private_mongo: Server) -> None:
    async with mongo_store(private_mongo.url) as store:
        for call in (store.ping, lambda: store.apply([create("a")]), lambda: store.read([A])):
            with pytest.raises(Unavailable, match="run `python -m adapters"):
                await call()
        with client(private_mongo.url) as connected:
            assert connected.get_default_database().list_collection_names() == []
        await migrate(private_mongo.url)
        await store.ping()
        assert isinstance((await store.apply([create("a")]))[0], Applied)


async def test_an_index_that_is_lost_is_noticed_by_the_next_ping(store: MongoStore, private_mongo: Server) -> None:
    with client(private_mongo.url) as connected:
        connected.get_default_database().records.drop_index("operation")
    with pytest.raises(Unavailable, match="no index operation"):
        await store.ping()
    with pytest.raises(Unavailable):
        await store.apply([create("a")])


async def test_connections_that_a_restart_has_made_stale_hurt_nobody(store: MongoStore, private_mongo: Server) -> None:
    for end in (private_mongo.stop, private_mongo.kill):
        await asyncio.gather(*(store.read([A]) for _ in range(4)))
        end()
        private_mongo.start()
        results = await asyncio.gather(*(store.apply([create(f"{end.__name__}{n}")]) for n in range(4)))
        assert all(isinstance(result, Applied) for (result,) in results)


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(store: MongoStore, private_mongo: Server) -> None:
    acknowledged = [0, 0, 0]
    applying = asyncio.gather(*(_keep_replacing(store, f"{n}", acknowledged) for n in range(3)))
    await until(lambda: min(acknowledged) > 5)
    private_mongo.kill()
    await applying
    private_mongo.start()
    async with mongo_store(private_mongo.url) as after:
        records = await after.read([Resource("notes", f"{n}") for n in range(3)])
    for record, version in zip(records, acknowledged, strict=True):
        assert record is not None
        assert record.version in (version, version + 1)


async def _keep_replacing(store: MongoStore, id_: str, acknowledged: list[int]) -> None:
    """Until the store goes away; note the last version that was acknowledged."""
    with contextlib.suppress(Transient):
        while True:
            (result,) = await store.apply([operation(Kind.REPLACE, id_, {})])
            assert isinstance(result, Applied)
            acknowledged[int(id_)] = result.record.version


# Frozen


async def abandoned(*calls: Awaitable[object]) -> None:
    """Every call is given up at its deadline, and ends long before its own time is over."""
    async with asyncio.timeout(10):
        ends = await asyncio.gather(*(abandon_after(DEADLINE, call) for call in calls), return_exceptions=True)
    assert [type(end) for end in ends] == [Abandoned] * len(calls)


async def test_a_frozen_server_holds_no_call_past_its_time(private_mongo: Server) -> None:
    await migrate(private_mongo.url)
    async with mongo_store(private_mongo.url, timeout=0.5, patience=0.1) as store:
        await connected(store, 4)
        private_mongo.freeze()
        calls = (store.apply([create("a", keyed=False)]), store.read([A]), store.ping(), store.apply([merge("a", {})]))
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(end, Transient) for end in ends] == [True] * 4
        assert isinstance(ends[0], OutcomeUnknown)
        assert isinstance(ends[3], Unavailable), "it had only looked"
    private_mongo.thaw()


async def test_what_commits_late_and_is_repeated_has_one_effect(store: MongoStore, private_mongo: Server) -> None:
    await store.apply([create(f"old{n}", {"n": 0}) for n in range(4)])
    batches = [[create(f"new{n}", keyed=False), merge(f"old{n}", {"n": 1}, keyed=False)] for n in range(4)]
    private_mongo.freeze()
    await abandoned(*(store.apply(batch) for batch in batches))
    private_mongo.thaw()
    async with mongo_store(private_mongo.url) as other:
        answers = await asyncio.gather(*(one.apply(batch) for batch in batches for one in (store, other)))
    assert [_versions(results) for results in answers] == [[1, 2]] * 8
    resources = [operation.resource for batch in batches for operation in batch]
    assert [record and record.version for record in await store.read(resources)] == [1, 2] * 4


async def test_what_was_sent_before_the_freeze_happens_without_its_caller(
    store: MongoStore, private_mongo: Server
) -> None:
    """Otherwise the test above would show nothing."""
    one = create("a", keyed=False)
    private_mongo.freeze()
    await abandoned(store.apply([one]))
    private_mongo.thaw()
    async with mongo_store(private_mongo.url) as other:

        async def is_there() -> bool:
            return (await other.read([one.resource]))[0] is not None

        await until_seen(is_there)
        (result,) = await store.apply([one])
    assert isinstance(result, Applied)
    assert (result.record.version, result.replayed) == (1, True)


@pytest.mark.parametrize("seed", range(3))
async def test_calls_cancelled_at_any_moment_leave_a_store_that_works(mongo_url: str, seed: int) -> None:
    seeded = random.Random(seed)
    batches = [[create(f"n{n}"), merge(f"n{n}", {"a": 1})] for n in range(60)]
    async with mongo_store(mongo_url, pool_size=4) as store:
        calls = [asyncio.ensure_future(store.apply(batch)) for batch in batches]
        for call in calls:
            asyncio.get_running_loop().call_later(seeded.uniform(0, 0.4), call.cancel)
        await asyncio.wait(calls)
        assert all(call.cancelled() or isinstance(call.exception(), Transient | None) for call in calls)
        for batch in batches:
            assert _versions(await store.apply(batch)) == [1, 2]


def _versions(results: list[Result]) -> list[int | None]:
    return [result.record.version if isinstance(result, Applied) else None for result in results]


async def test_the_pool_tells_how_full_it_is(store: MongoStore, private_mongo: Server) -> None:
    used, idle, most = store.pool()
    assert (used, most) == (0, 8)
    assert idle >= 1
    private_mongo.freeze()
    calls = [asyncio.ensure_future(store.read([A])) for _ in range(3)]
    await until(lambda: store.pool().used == 3)
    private_mongo.thaw()
    await asyncio.gather(*calls)
    assert store.pool().used == 0
    await store.close()
    assert store.pool() == (0, 0, 8)


# Who is there, and who may


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://h:port/x"])
def test_a_url_that_cannot_be_read_is_an_error_at_once(url: str) -> None:
    with pytest.raises((PyMongoError, ValueError)):
        MongoStore(MongoOptions(url))


async def test_nobody_at_the_address_is_unavailable_and_the_password_is_not_told() -> None:
    for host in ("nowhere.invalid", "127.0.0.1:1"):
        async with mongo_store(f"mongodb://ada:hush@{host}/x", timeout=0.5, patience=0.1) as store:
            with pytest.raises(Unavailable) as refused:
                await store.apply([create("a")])
            assert "hush" not in f"{refused.value!r}{refused.value.__cause__!r}{MongoOptions('mongodb://ada:hush@h')}"


async def test_a_wrong_password_is_unavailable_and_the_right_one_works(tmp_path: Path) -> None:
    with running_mongo(data=tmp_path / "data") as server, client(server.url) as connected:
        connected.admin.command("createUser", "ada", pwd="hush", roles=["root"])
    with running_mongo("--auth", data=tmp_path / "data") as server:
        right, wrong = (server.url.replace("//", f"//ada:{word}@") + "?authSource=admin" for word in ("hush", "push"))
        await migrate(right)
        async with mongo_store(right) as store, mongo_store(wrong) as stranger, mongo_store(server.url) as nobody:
            assert isinstance((await store.apply([create("a")]))[0], Applied)
            for refused in (stranger, nobody):
                with pytest.raises(Unavailable) as error:
                    await refused.apply([create("b")])
                assert "push" not in str(error.value)


async def test_a_server_with_tls_is_reached_by_the_options_of_the_url(tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    trusting = f"?tls=true&tlsCAFile={certificate}"
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running_mongo(*files, query=trusting) as server:
        await migrate(server.url)
        async with mongo_store(server.url) as store:
            assert isinstance((await store.apply([create("a")]))[0], Applied)
        plain = server.url.removesuffix(trusting)
        for url in (plain, f"{plain}?tls=true"):
            async with mongo_store(url, timeout=1.0, patience=0.1) as stranger:
                with pytest.raises(Unavailable):
                    await stranger.apply([create("b")])


# The command


def migrating(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "", "HOLDFAST_STORE": "mongo", **({"HOLDFAST_MONGO_URL": url} if url else {})}
    command = [sys.executable, "-m", "adapters.migrate", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_migration_makes_the_indexes_and_may_run_again(private_mongo: Server) -> None:
    for _ in range(2):
        done = migrating(private_mongo.url)
        assert (done.returncode, "the indexes of the database holdfast_test are there" in done.stderr) == (0, True)
    with client(private_mongo.url) as connected:
        found = connected.get_default_database().records.index_information()
    assert found["operation"]["unique"]


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("", 2, "HOLDFAST_MONGO_URL is not set"),
        ("mongodb://u:hush@", 2, "is not a URL that MongoDB's driver understands"),
        ("mongodb://u:hush@127.0.0.1:1/x", 1, "no server that takes writes was found"),
    ],
)
def test_a_migration_that_cannot_be_done_says_why_and_no_secret(url: str, code: int, said: str) -> None:
    done = migrating(url, "--wait", "0")
    assert done.returncode == code
    assert said in done.stderr
    assert "hush" not in done.stderr
