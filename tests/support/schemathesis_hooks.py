"""Values of the formats that the OpenAPI document names but cannot describe."""

from __future__ import annotations

import unicodedata

import schemathesis
from hypothesis import strategies as st

from api.records.target import cursor_after

_VISIBLE = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1, max_size=20)
_IDS = _VISIBLE.map(lambda text: unicodedata.normalize("NFC", text)).filter(
    lambda text: text not in (".", "..") and text.isprintable()
)

schemathesis.openapi.format("record-id", _IDS)
schemathesis.openapi.format("cursor", _IDS.map(cursor_after))
schemathesis.openapi.format("job-cursor", st.just("0"))


@schemathesis.hook
def filter_body(_context: schemathesis.HookContext, body: object) -> bool:
    """Leave 1e20 out: for JSON Schema it is a whole number, and too large a one; for the API it is a double."""
    return not _holds_a_large_whole_double(body)


def _holds_a_large_whole_double(value: object) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) >= 2**63
    if isinstance(value, dict):
        return any(map(_holds_a_large_whole_double, value.values()))
    return isinstance(value, list) and any(map(_holds_a_large_whole_double, value))
