"""What a store that does not take all data does with what it will not take."""

from __future__ import annotations

from holdfast.operations.model import Applied, Fault, Operation, ProblemType, Refused, Resource

from .support import NOTE, OTHER, Subject, create, delete, merge, refusals, versions


class RefusingContract:
    """For a store whose subject says what is `unstorable`."""

    async def test_what_the_store_will_not_take_is_refused_alone(self, subject: Subject) -> None:
        bad = create(subject.bad(), NOTE, keyed=True)
        fine = [create({"n": n}, Resource("notes", f"n{n}")) for n in range(9)]
        results = await subject.apply(*fine[:5], bad, *fine[5:])
        assert refusals(results) == [None] * 5 + [ProblemType.UNSTORABLE] + [None] * 4
        assert await subject.record() is None
        assert all(await subject.store.read([one.resource for one in fine]))

    async def test_what_follows_something_refused_as_unstorable_still_applies(self, subject: Subject) -> None:
        results = await subject.apply(create({"n": 1}), merge(subject.bad()), merge({"m": 1}))
        assert refusals(results) == [None, ProblemType.UNSTORABLE, None]
        assert versions(results) == [1, None, 2]
        assert await subject.data() == {"n": 1, "m": 1}

    async def test_refused_as_unstorable_is_remembered_like_any_refusal(self, subject: Subject) -> None:
        bad = create(subject.bad(), NOTE, keyed=True)
        first = await subject.outcome(bad)
        assert isinstance(first, Refused)
        assert await subject.outcome(bad) == Refused(first.problem, replayed=True)
        assert (await subject.problem(_with(bad, "f1"))).type is ProblemType.KEY_REUSED
        assert await subject.record() is None

    async def test_a_fault_of_our_own_stops_its_resource_and_nothing_else(self, subject: Subject) -> None:
        results = await subject.apply(
            create({"n": 1}), merge({"bad": object()}), merge({"m": 1}), delete(), create({"n": 2}, OTHER)
        )
        assert [type(result) for result in results] == [Applied, Fault, Fault, Fault, Applied]
        assert await subject.data() == {"n": 1}
        assert await subject.data(OTHER) == {"n": 2}


def _with(one: Operation, fingerprint: str) -> Operation:
    return create({"n": 1}, one.resource, id=one.id, fingerprint=fingerprint, keyed=True)
