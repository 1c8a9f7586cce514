"""The collections and their indexes.

`records` has a document for each resource, with the operations last applied to it; the unique index on their ids makes
an id belong to one resource. `operations` has those that were moved out of a record's document to keep it small.
"""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

RECORDS = "records"
OPERATIONS = "operations"

# A document without operations is in neither index.
_WITH_OPERATIONS = {"operations.id": {"$exists": True}}

OPERATION = "operation"
TOUCHED = "touched"
APPLIED = "applied"

INDEXES = {
    RECORDS: [
        IndexModel(
            [("operations.id", ASCENDING)],
            name=OPERATION,
            unique=True,
            partialFilterExpression=_WITH_OPERATIONS,
        ),
        IndexModel([("touched_at", ASCENDING)], name=TOUCHED, partialFilterExpression=_WITH_OPERATIONS),
    ],
    OPERATIONS: [IndexModel([("applied_at", ASCENDING)], name=APPLIED)],
}

# What a duplicate key of ours is a key of.
OURS = (("_id",), ("operations.id",))
