"""Reading records, one by one and page by page."""

from __future__ import annotations

from holdfast.operations.model import Resource

from .support import NOTE, OTHER, Subject, create, delete, replace_by

# In code-point order, which differs from what a dictionary or UTF-16 has.
IDS = ["1", "10", "2", "A", "Z", "a", "aa", "b", "z", "é", "ｚ", "🦄"]


class ReadingContract:
    async def test_reading_nothing_is_nothing(self, subject: Subject) -> None:
        assert await subject.store.read([]) == []

    async def test_records_come_in_the_order_of_the_questions(self, subject: Subject) -> None:
        await subject.apply(create({"n": 1}), create({"n": 2}, OTHER))
        asked = [OTHER, Resource("notes", "none"), NOTE, OTHER]
        found = await subject.store.read(asked)
        assert [record and record.data for record in found] == [{"n": 2}, None, {"n": 1}, {"n": 2}]

    async def test_the_other_process_sees_what_was_acknowledged(self, subject: Subject) -> None:
        for n in range(20):
            applied = await subject.applied(replace_by({"n": n}))
            assert await subject.peer.read([NOTE]) == [applied.record]

    async def test_pages_go_through_all_records_once_in_code_point_order(self, subject: Subject) -> None:
        await subject.apply(*(create({"id": id_}, Resource("letters", id_)) for id_ in reversed(IDS)))
        for limit in (1, 5, len(IDS), 100):
            assert await _walk(subject, limit) == sorted(IDS) == IDS

    async def test_a_page_holds_the_whole_records(self, subject: Subject) -> None:
        await subject.apply(create({"n": 1}), create({"n": 2}, OTHER), replace_by({"n": 3}))
        assert await subject.store.page("notes", after=None, limit=10) == await subject.store.read([NOTE, OTHER])

    async def test_deleted_records_are_left_out_and_do_not_shorten_a_page(self, subject: Subject) -> None:
        await subject.apply(*(create({}, Resource("letters", id_)) for id_ in IDS))
        await subject.apply(*(delete(Resource("letters", id_)) for id_ in IDS[::2]))
        page = await subject.store.page("letters", after=None, limit=4)
        assert [record.resource.id for record in page] == IDS[1::2][:4]
        assert await _walk(subject, 1) == IDS[1::2]

    async def test_a_page_begins_after_an_id_that_need_not_exist(self, subject: Subject) -> None:
        await subject.apply(*(create({}, Resource("letters", id_)) for id_ in IDS))
        page = await subject.store.page("letters", after="a0", limit=2)
        assert [record.resource.id for record in page] == ["aa", "b"]
        assert await subject.store.page("letters", after=IDS[-1], limit=2) == []

    async def test_collections_do_not_mix(self, subject: Subject) -> None:
        await subject.apply(create({}, Resource("a", "1")), create({}, Resource("ab", "2")))
        assert [record.resource.id for record in await subject.store.page("a", after=None, limit=9)] == ["1"]
        assert await subject.store.page("b", after=None, limit=9) == []


async def _walk(subject: Subject, limit: int) -> list[str]:
    ids: list[str] = []
    after: str | None = None
    while page := await subject.store.page("letters", after=after, limit=limit):
        assert len(page) <= limit
        ids += [record.resource.id for record in page]
        after = ids[-1]
    return ids
