"""The ledger in Redis does whatever the memory ledger does, step for step, in any order of steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from adapters.memory_ledger import MemoryLedger
from adapters.redis_ledger import RedisLedger, RedisLedgerOptions
from holdfast.errors import Overloaded
from holdfast.operations.model import (
    Applied,
    Effect,
    Job,
    Kind,
    Operation,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
    State,
)
from holdfast.operations.ports import Again, Dead, Done, Hold, Lease, Ledger, Settlement, Verdict
from holdfast.testing.clock import FakeClock
from holdfast.testing.conformance.ledger.tallying import adds_up
from tests.support.ledgers import PATIENT

RESOURCES = [Resource("notes", str(n)) for n in range(3)]
IDS = [f"op-{n:02}" for n in range(12)]
CAPACITY = 9
RETENTION = 100.0

one_of_the_ids = st.sampled_from(IDS)
seconds = st.sampled_from([0.0, 0.5, 1.0, 7.0])


def operation(id_: str) -> Operation:
    number = int(id_[-2:])
    resource = RESOURCES[number % len(RESOURCES)]
    return Operation(id_, "someone", resource, Kind.REPLACE, {"n": number}, id_, 1.0 + number, keyed=number % 2 == 0)


def verdict(word: str, id_: str) -> Verdict:
    one = operation(id_)
    record = Record(one.resource, 1, one.payload, 1.0, 1.0)
    verdicts: dict[str, Verdict] = {
        "applied": Done(id_, Applied(Effect.CREATED, record)),
        "superseded": Done(id_, Refused(Problem(ProblemType.SUPERSEDED, "written since"))),
        "refused": Done(id_, Refused(Problem(ProblemType.NOT_FOUND, "none"))),
        "blocks": Dead(id_, "a bug", blocks=True),
        "passes": Dead(id_, "a bug", blocks=False),
        "again": Again(id_),
        "counts": Again(id_, "a bug", counts=True),
        "unsure": Again(id_, "no answer", unsure=True),
    }
    return verdicts[word]


async def listed(ledger: Ledger, state: State | None) -> list[Job]:
    return (await ledger.list_jobs(state=state, cursor=None, limit=100))[0]


WORDS = ["applied", "refused", "superseded", "blocks", "passes", "again", "counts", "unsure"]
words = st.lists(st.sampled_from(WORDS), max_size=5)


class Twins(RuleBasedStateMachine):
    """Every rule does the same to both, and compares the answers."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()
        self.clock = FakeClock()
        self.runner = asyncio.Runner()
        options = RedisLedgerOptions(self.url, max_waiting=CAPACITY, retention=RETENTION, pool_size=1, **PATIENT)
        self.real = RedisLedger(options, clock=self.clock)
        self.model = MemoryLedger(clock=self.clock, max_waiting=CAPACITY, retention=RETENTION)
        self.leases: list[tuple[Lease, Lease]] = []

    def teardown(self) -> None:
        self.runner.run(self.real.close())
        self.runner.close()

    def both(self, call: Callable[[Ledger], Coroutine[Any, Any, Any]]) -> tuple[Any, Any]:
        return self.runner.run(call(self.real)), self.runner.run(call(self.model))

    def same(self, call: Callable[[Ledger], Coroutine[Any, Any, Any]]) -> Any:
        real, model = self.both(call)
        assert real == model
        return real

    @rule(ids=st.lists(one_of_the_ids, min_size=1, max_size=4), unsure=st.booleans())
    def hold(self, ids: list[str], unsure: bool) -> None:
        async def hold(ledger: Ledger) -> Any:
            try:
                return await ledger.hold([Hold(operation(id_), unsure) for id_ in ids])
            except Overloaded:
                return "overloaded"

        self.same(hold)

    @rule(ids=st.lists(one_of_the_ids, max_size=4))
    def gate(self, ids: list[str]) -> None:
        self.same(lambda ledger: ledger.gate([operation(id_) for id_ in ids]))

    @rule(
        limit=st.integers(1, 6),
        depth=st.integers(1, 4),
        ttl=st.sampled_from([1.0, 8.0]),
        named=st.none() | st.lists(st.sampled_from(RESOURCES), max_size=3),
    )
    def lease(self, limit: int, depth: int, ttl: float, named: list[Resource] | None) -> None:
        real, model = self.both(lambda ledger: ledger.lease(limit=limit, depth=depth, ttl=ttl, resources=named))
        assert [lease[::2] for lease in real] == [lease[::2] for lease in model]
        self.leases.extend(zip(real, model, strict=True))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), verdicts=words, due_in=seconds, keep=st.booleans())
    def settle(self, data: st.DataObject, verdicts: list[str], due_in: float, keep: bool) -> None:
        """Any lease there ever was: late and repeated settlements come too."""
        number = data.draw(st.integers(0, len(self.leases) - 1))
        real, model = self.leases[number] if keep else self.leases.pop(number)
        jobs = zip(verdicts, real.jobs, strict=False)
        judged = tuple(verdict(word, job.operation.id) for word, job in jobs)
        count = self.runner.run(self.real.settle([Settlement(real, judged, due_in)]))
        assert count == self.runner.run(self.model.settle([Settlement(model, judged, due_in)]))

    @precondition(lambda self: len(self.leases) > 1)
    @rule(word=st.sampled_from(["applied", "again"]))
    def settle_all(self, word: str) -> None:
        def settlements(side: int) -> list[Settlement]:
            return [
                Settlement(pair[side], tuple(verdict(word, job.operation.id) for job in pair[side].jobs), 1.0)
                for pair in self.leases
            ]

        count = self.runner.run(self.real.settle(settlements(0)))
        assert count == self.runner.run(self.model.settle(settlements(1)))

    @rule(id_=one_of_the_ids)
    def cancel(self, id_: str) -> None:
        self.same(lambda ledger: ledger.cancel(id_))

    @rule(id_=one_of_the_ids)
    def retry(self, id_: str) -> None:
        self.same(lambda ledger: ledger.retry(id_))

    @rule(by=st.sampled_from([0.001, 0.5, 1.0, 7.0, 50.0]))
    def advance(self, by: float) -> None:
        self.clock.advance(by)

    @rule(limit=st.integers(1, 5))
    def prune(self, limit: int) -> None:
        real, model = self.both(lambda ledger: ledger.prune(limit=limit))
        assert real == model
        if real == limit:  # which of the old ones went first is nobody's business
            self.same(lambda ledger: ledger.prune(limit=100))

    @invariant()
    def nothing_tells_them_apart(self) -> None:
        self.same(lambda ledger: ledger.jobs(IDS))
        self.same(lambda ledger: ledger.stats())
        assert adds_up(self.runner.run(self.real.stats()))
        self.same(lambda ledger: ledger.due(limit=10))
        self.same(lambda ledger: ledger.waiting(RESOURCES))
        self.same(lambda ledger: ledger.last_waiting(RESOURCES))
        real, model = self.both(lambda ledger: ledger.backlog(cursor=0))
        assert (sorted(real.entered), real.size) == (sorted(model.entered), model.size)

    @invariant()
    def their_lists_are_the_same(self) -> None:
        self.same(lambda ledger: listed(ledger, None))
        for state in State:
            self.same(partial(listed, state=state))

    @invariant()
    def nothing_is_left_behind(self) -> None:
        """Every key is accounted for: a mailbox for each resource of the backlog, a state for each operation."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            mailboxes = {key.removeprefix("holdfast:mailbox:") for key in client.keys("holdfast:mailbox:*")}
            assert (
                mailboxes == set(client.zrange("holdfast:backlog", 0, -1)) == set(client.zrange("holdfast:due", 0, -1))
            )
            assert set(client.hkeys("holdfast:lease")) <= mailboxes
            operations = {key.removeprefix("holdfast:op:") for key in client.keys("holdfast:op:*")}
            stated = [id_ for state in State for id_ in client.zrange(f"holdfast:state:{state}", 0, -1)]
            assert sorted(stated) == sorted(operations)


def test_the_ledger_in_redis_does_what_the_memory_ledger_does(valkey_url: str) -> None:
    Twins.url = valkey_url
    run_state_machine_as_test(
        Twins,
        settings=settings(
            max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
