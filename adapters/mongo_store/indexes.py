"""The collection and its indexes.

It has a document for each resource, with the operations last applied to it, and one for each operation that was moved
out of those to keep them small. Each id stands in two unique indexes, for it is in one of them at every moment of a
move, and so belongs to one resource.
"""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

RECORDS = "records"

OPERATION = "operation"
TWIN = "twin"
TOUCHED = "touched"
APPLIED = "applied"


def _index(name: str, field: str, *, only_with: str, unique: bool = False) -> IndexModel:
    """only_with: a document without this is not in it."""
    there = {only_with: {"$exists": True}}
    return IndexModel([(field, ASCENDING)], name=name, unique=unique, partialFilterExpression=there)


INDEXES = (
    _index(OPERATION, "operations.id", only_with="operations.id", unique=True),
    _index(TWIN, "operations.twin", only_with="operations.twin", unique=True),
    _index(TOUCHED, "touched_at", only_with="operations.id"),
    _index(APPLIED, "applied_at", only_with="applied_at"),
)

# What a duplicate key of ours is a key of.
OURS = (("_id",), ("operations.id",), ("operations.twin",))
