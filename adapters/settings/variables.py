"""The environment variables, as a person sees them: one for each field, groups taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from .model import PREFIX, Settings


class Variable(NamedTuple):
    """One environment variable.

    path: the names of the group, if any, and of the field.
    kind: the type in words, with choices and limits.
    """

    name: str
    path: tuple[str, ...]
    kind: str
    default: str
    unit: str
    text: str
    example: str


def variables() -> dict[str, Variable]:
    """All variables by name, in the order of the settings' class."""
    return {variable.name: variable for variable in _walk(Settings, ())}


def name_of(path: tuple[str, ...]) -> str:
    return PREFIX + "_".join(path).upper()


def _walk(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Variable]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _walk(kind, (*path, name))
        else:
            yield _variable((*path, name), field)


def _variable(path: tuple[str, ...], field: FieldInfo) -> Variable:
    extra: dict[str, Any] = field.json_schema_extra  # type: ignore[assignment]
    return Variable(
        name=name_of(path),
        path=path,
        kind=_kind(field.annotation) + _limits(field),
        default=_default(field),
        unit=extra["unit"],
        text=field.description or "",
        example=str((field.examples or [""])[0]),
    )


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if origin in (Union, UnionType):
        return _kind(next(arg for arg in get_args(annotation) if arg is not type(None)))
    if origin is not None:
        return _kind(get_args(annotation)[0])
    return _WORDS.get(annotation, "path")


_WORDS = {int: "whole number", float: "number", str: "text", SecretStr: "URL"}


_LIMITS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def _limits(field: FieldInfo) -> str:
    found = [(word, getattr(limit, key, None)) for limit in field.metadata for key, word in _LIMITS.items()]
    return "".join(f" {word} {value:,}" for word, value in found if value is not None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default is None else str(field.default)
