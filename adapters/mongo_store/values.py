"""A record's data and times as BSON, and back.

Data is stored as BSON's own documents, so that other programs can query it. JSON has whole numbers that BSON has not:
those beyond 64 bits become Decimal128, as far as its 34 digits go, and nothing else does.
"""

from __future__ import annotations

from typing import Any

import bson
from bson import DBRef, Decimal128, Int64
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument

from holdfast.operations.model import JsonObject

from .errors import Unstorable

_WORD = 1 << 63


class _Whole(TypeDecoder):
    bson_type = Int64

    def transform_bson(self, value: int) -> int:
        return int(value)


class _Large(TypeDecoder):
    bson_type = Decimal128

    def transform_bson(self, value: Decimal128) -> int:
        return int(value.to_decimal())


class _Reference(TypeDecoder):
    """An object with `$ref` and `$id` is just an object."""

    bson_type = DBRef

    def transform_bson(self, value: DBRef) -> dict[str, Any]:
        return dict(value.as_doc())


CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    type_registry=TypeRegistry([_Whole(), _Large(), _Reference()]),
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)


def encode(data: JsonObject) -> RawBSONDocument:
    """Raises Unstorable for what BSON cannot say, TypeError for what is not JSON."""
    try:
        return RawBSONDocument(bson.encode(data))
    except RecursionError:
        raise Unstorable("it is nested too deeply") from None
    except (OverflowError, UnicodeEncodeError, InvalidDocument):
        storable = _storable(data)
    try:
        return RawBSONDocument(bson.encode(storable))
    except InvalidDocument:
        raise TypeError("the data is not JSON") from None


def size(document: RawBSONDocument | None) -> int:
    """In bytes."""
    return 0 if document is None else len(document.raw)


def date(seconds: float | None) -> DatetimeMS | None:
    return None if seconds is None else DatetimeMS(round(seconds * 1000))


def seconds(date: DatetimeMS | None) -> float | None:
    return None if date is None else int(date) / 1000


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_name(name): _storable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not -_WORD <= value < _WORD:
        return _decimal(value)
    return value


def _name(name: Any) -> Any:
    if isinstance(name, str) and "\0" in name:
        raise Unstorable("a name in it has a NUL character")
    return _text(name)


def _text(text: Any) -> Any:
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unstorable("a text in it is not Unicode: it has half of a surrogate pair") from None
    return text


def _decimal(number: int) -> Decimal128:
    try:
        decimal = Decimal128(str(number))
    except (ArithmeticError, ValueError):
        raise Unstorable("a whole number in it is too large") from None
    if int(decimal.to_decimal()) != number:
        raise Unstorable("a whole number in it has more than 34 digits")
    return decimal
