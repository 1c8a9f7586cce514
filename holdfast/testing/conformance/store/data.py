"""What goes in comes out."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from holdfast.operations.model import JsonObject, Resource

from .support import Subject, create, merge, replace_by

ODD: dict[str, JsonObject] = {
    "empty": {},
    "nothing in it": {"a": None, "b": [], "c": {}, "d": "", "": 0},
    "types": {"t": True, "f": False, "n": None, "i": 1, "x": 1.5, "s": "1", "l": [1, "a", None, {"b": []}]},
    "unicode": {"ключ": "значение", "emoji": "🦄 é e\u0301", "rtl": "שלום", "line": "\u2028\x7f\x01\t\n\\\"'"},
    "names": {"a.b": 1, "$set": 2, "$": 3, "__proto__": 4, "%(x)s": 5, ":id": 6, "a\\b": 7, "'; --": 8},
    "nested": json.loads('{"a":' * 60 + "[1]" + "}" * 60),
    "whole numbers": {"n": [0, -1, 2**31, 2**53 + 1, 2**63, -(2**63), 2**64, 10**40, -(10**40)]},
    "wide": {f"field-{n}": "x" * 40 for n in range(2_000)},
    "long": {"text": "ä" * 500_000},
}

FLOATS = [0.1, -0.1, 1.0, 1e-9, 1.5e300, 5e-324, 1.7976931348623157e308, 0.30000000000000004, 2**53 + 2.0]


class DataContract:
    @pytest.mark.parametrize("name", list(ODD))
    async def test_data_comes_back_as_it_was(self, subject: Subject, name: str) -> None:
        one = create(ODD[name])
        applied = await subject.applied(one)
        assert applied.record.data == ODD[name]
        assert _typed(await subject.data()) == _typed(ODD[name])
        assert (await subject.applied(one)).record == applied.record

    @pytest.mark.parametrize("name", list(ODD))
    async def test_merged_data_comes_back_as_it_was(self, subject: Subject, name: str) -> None:
        await subject.apply(create({"before": ODD[name]}))
        one = merge({"after": {"x": 1}})
        first = await subject.applied(one)
        await subject.apply(replace_by({}))
        replayed = await subject.applied(one)
        assert _typed(replayed.record.data) == _typed({"before": ODD[name], "after": {"x": 1}})
        assert replayed.record == first.record

    async def test_numbers_keep_their_value(self, subject: Subject) -> None:
        await subject.apply(create({"x": FLOATS, "zero": -0.0}))
        data = await subject.data()
        assert data is not None
        assert [float(value) for value in data["x"]] == FLOATS
        assert math.isclose(data["zero"], 0.0)

    @pytest.mark.parametrize("id_", ["a b", "a/b/c", "ü", "🦄", "%2F", "a'b", "{}", "a,b", '"', "\\", "x" * 255, "."])
    async def test_any_text_can_be_an_id(self, subject: Subject, id_: str) -> None:
        resource = Resource("odd names", id_)
        applied = await subject.applied(create({"n": 1}, resource))
        assert applied.record.resource == resource
        assert await subject.record(resource) == applied.record
        assert await subject.store.page("odd names", after=None, limit=2) == [applied.record]

    async def test_times_are_kept_to_the_millisecond(self, subject: Subject) -> None:
        for n, at in enumerate((0.001, 1_700_000_000.123, 1_893_456_000.999, 4_102_444_800.0)):
            applied = await subject.applied(create({}, Resource("times", str(n)), accepted_at=at))
            assert (applied.record.created_at, applied.record.updated_at) == (at, at)
            assert await subject.record(applied.record.resource) == applied.record


def _typed(value: Any) -> Any:
    """The value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {name: _typed(member) for name, member in value.items()}
    return [_typed(member) for member in value] if isinstance(value, list) else (type(value), value)
