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
