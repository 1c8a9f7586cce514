"""The ledger acknowledges nothing in a server that may forget it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
import redis

from holdfast.errors import OutcomeUnknown, Unavailable
from holdfast.testing.conformance.ledger.support import operation
from tests.support.ledgers import holds, redis_ledger
from tests.support.processes import Server
from tests.support.servers import DURABLE

FORGETFUL = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--appendonly", "no"), "set appendonly to yes (it is no)"),
        (FORGETFUL, "set appendfsync to always (it is everysec)"),
        ((*DURABLE, "--maxmemory-policy", "allkeys-lru"), "set maxmemory-policy to noeviction (it is allkeys-lru)"),
    ],
)
async def test_a_server_that_may_forget_holds_nothing_and_the_error_says_what_to_set(
    make_valkey: Callable[..., Server], options: tuple[str, ...], told: str
) -> None:
    async with redis_ledger(make_valkey(*options).url) as ledger:
        one = operation()
        for call in (ledger.hold(holds(one)), ledger.ping()):
            with pytest.raises(Unavailable) as error:
                await call
            assert told in str(error.value)
        assert await ledger.jobs([one.id]) == [None]


async def test_what_was_held_before_is_still_drained_from_a_server_that_may_forget(
    make_valkey: Callable[..., Server],
) -> None:
    server = make_valkey(*FORGETFUL)
    one = operation()
    async with redis_ledger(server.url, durability="trust") as trusting:
        await trusting.hold(holds(one))
    async with redis_ledger(server.url) as ledger:
        (lease,) = await ledger.lease(limit=1, depth=1, ttl=1.0)
        assert lease.jobs[0].operation == one


async def test_whoever_trusts_the_server_may_hold_anywhere(make_valkey: Callable[..., Server]) -> None:
    async with redis_ledger(make_valkey("--appendonly", "no").url, durability="trust") as ledger:
        await ledger.ping()
        assert len(await ledger.hold(holds(operation()))) == 1


@pytest.fixture
def limited_url(valkey_url: str) -> Iterator[str]:
    """The same server for a user who may not use CONFIG, and sees only the keys that begin with `holdfast:`."""
    with redis.Redis.from_url(valkey_url) as operator:
        operator.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~holdfast:*", "+@all", "-config")
        yield valkey_url.replace("redis://", "redis://app:secret@")
        operator.acl_deluser("app")


async def test_a_server_that_does_not_tell_is_refused_with_the_setting_that_helps(limited_url: str) -> None:
    async with redis_ledger(limited_url) as ledger:
        with pytest.raises(Unavailable, match="HOLDFAST_LEDGER_DURABILITY=trust") as error:
            await ledger.hold(holds(operation()))
        assert "secret" not in str(error.value)


async def test_a_user_with_the_keys_of_the_ledger_alone_can_do_all_of_its_work(limited_url: str) -> None:
    async with redis_ledger(limited_url, durability="trust") as ledger:
        one = operation()
        await ledger.ping()
        await ledger.hold(holds(one))
        assert (await ledger.cancel(one.id)).done


async def test_a_wrong_password_is_an_unavailable_server_and_is_not_told(valkey_url: str) -> None:
    async with redis_ledger(valkey_url.replace("redis://", "redis://app:guessed@")) as ledger:
        with pytest.raises(Unavailable) as error:
            await ledger.gate([operation()])
        assert "guessed" not in repr(error.value) + repr(ledger._options)


async def test_a_server_that_comes_back_less_durable_is_found_out_before_anything_is_acknowledged(
    private_valkey: Server,
) -> None:
    async with redis_ledger(private_valkey.url, pool_size=1) as ledger:
        await ledger.hold(holds(operation()))
        with redis.Redis.from_url(private_valkey.url) as operator:
            operator.config_set("appendfsync", "everysec")
            operator.client_kill_filter(_type="normal", skipme=True)
        # The first connection broke while nobody looked, or is found broken only when it is used.
        with pytest.raises((Unavailable, OutcomeUnknown), match="appendfsync"):
            await ledger.hold(holds(operation()))
        with pytest.raises(Unavailable, match="appendfsync"):
            await ledger.hold(holds(operation()))


async def test_the_server_is_asked_once_for_each_connection_and_not_for_each_hold(valkey_url: str) -> None:
    async with redis_ledger(valkey_url, pool_size=2) as ledger:
        with redis.Redis.from_url(valkey_url) as operator:
            operator.config_resetstat()
            for _ in range(10):
                await asyncio.gather(ledger.hold(holds(operation())), ledger.hold(holds(operation())))
            asked = operator.info("commandstats")["cmdstat_config|get"]["calls"]
        assert 1 <= asked <= 6
