"""The routes under `/v1/records/`, which the framework does not know."""

from __future__ import annotations

from typing import Any

from ..negotiation import LONGEST_KEY, LONGEST_WAIT
from ..problems import (
    CANCELLED,
    EXISTS,
    KEY_REUSED,
    MEDIA_TYPE,
    NOT_FOUND,
    OUTCOME_UNKNOWN,
    PRECONDITION,
    SUPERSEDED,
    TOO_LARGE,
    TOO_SLOW,
    UNAVAILABLE,
    UNSTORABLE,
    Kind,
)
from ..records.limits import Limits
from . import examples
from .parts import Part, answer, headers, in_header, in_path, in_query, link, problems
from .schemas import ref

_COLLECTION = in_path(
    "collection",
    "The collection.",
    "orders",
    {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
)
_TAGS: Part = {"anyOf": [{"const": "*"}, {"type": "string", "pattern": r'^(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*$'}]}
_NAME = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_IF_MATCH = in_header("If-Match", "Only if it is at one of these versions; `*`: only if it exists.", '"3"', _TAGS)
_IF_NONE_MATCH = in_header("If-None-Match", "Only if it is at none of these; `*`: only if it is new.", "*", _TAGS)
_KNOWN = in_header("If-None-Match", "304 if the record is still at one of these versions.", '"3"', _TAGS)
_KEY = in_header(
    "Idempotency-Key",
    "Makes repeats safe: all requests with one key have one effect and one answer. An RFC 8941 string, or bare.",
    '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
    {
        "type": "string",
        "pattern": rf'^("([ !#-\[\]-~]|\\["\\]){{1,{LONGEST_KEY}}}"|[!#-+\--:<-\[\]-~]{{1,{LONGEST_KEY}}})$',
    },
)
_PREFER = in_header(
    "Prefer",
    f"`wait=N`: if the write is held, wait up to N seconds (at most {LONGEST_WAIT}) for its job."
    " `respond-async`: hold it at once. What is unknown is left alone.",
    "respond-async, wait=10",
    {"type": "string", "pattern": f"^(wait=[0-9]{{1,2}}|{_NAME})(, *(wait=[0-9]{{1,2}}|{_NAME}))*$"},
)
_CURSOR: Part = {"type": "string", "format": "cursor", "minLength": 1}
_WRITE_PROBLEMS = (KEY_REUSED, CANCELLED, SUPERSEDED, UNSTORABLE, OUTCOME_UNKNOWN, UNAVAILABLE)
_BODY_PROBLEMS = (TOO_SLOW, TOO_LARGE, MEDIA_TYPE)
_REMARKS = ("Age", "Cache-Status", "Holdfast-Pending")


def paths(limits: Limits) -> dict[str, Any]:
    return {
        "/v1/records/{collection}": {
            "parameters": [_COLLECTION],
            "post": _create(),
            "get": _page(limits),
        },
        "/v1/records/{collection}/{id}": {
            "parameters": [_COLLECTION, _id(limits)],
            "put": _replace(),
            "patch": _merge(),
            "delete": _delete(),
            "get": _get(),
        },
    }


def _id(limits: Limits) -> Part:
    text = "What is percent-encoded here must be UTF-8 in NFC, without a slash, a space or anything invisible."
    schema = {"type": "string", "format": "record-id", "minLength": 1, "maxLength": limits.id, "pattern": "^[^/ ]+$"}
    return in_path("id", text, examples.RECORD["id"], schema)


def _create() -> Part:
    return _write(
        "createRecord",
        "Create a record under an id of the server's",
        {"201": _made()},
        [_KEY, _PREFER],
        _body("application/json"),
        *(EXISTS, *_BODY_PROBLEMS),
    )


def _replace() -> Part:
    return _write(
        "replaceRecord",
        "Create or replace a record",
        {"200": _changed(), "201": _made()},
        [_IF_MATCH, _IF_NONE_MATCH, _KEY, _PREFER],
        _body("application/json"),
        *(PRECONDITION, *_BODY_PROBLEMS),
    )


def _merge() -> Part:
    return _write(
        "mergeRecord",
        "Change parts of a record by a JSON merge patch (RFC 7396)",
        {"200": _changed()},
        [_IF_MATCH, _IF_NONE_MATCH, _KEY, _PREFER],
        _body("application/merge-patch+json", "application/json", example=examples.PATCH),
        *(NOT_FOUND, PRECONDITION, *_BODY_PROBLEMS),
    )


def _delete() -> Part:
    gone = {"description": "It is gone.", **headers("Idempotent-Replayed", "Preference-Applied")}
    return _write(
        "deleteRecord",
        "Delete a record",
        {"204": gone},
        [_IF_MATCH, _IF_NONE_MATCH, _KEY, _PREFER],
        {},
        *(NOT_FOUND, PRECONDITION),
    )


def _write(name: str, summary: str, done: Part, parameters: list[Part], body: Part, *kinds: Kind) -> Part:
    held = answer(
        "Held durably; the job tells what becomes of it.",
        "Job",
        *("Location", "Retry-After", "Preference-Applied"),
        queued=examples.QUEUED,
    )
    held["links"] = {name: link(name, id="$response.body#/id") for name in ("getJob", "cancelJob", "retryJob")}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["records"],
        "parameters": parameters,
        **body,
        "responses": {**done, "202": held, **problems(*kinds, *_WRITE_PROBLEMS)},
    }


def _body(*types: str, example: Any = examples.DATA) -> Part:
    content = {each: {"schema": ref("Data"), "examples": {"order": {"value": example}}} for each in types}
    return {"requestBody": {"required": True, "content": content}}


def _made() -> Part:
    names = ("Location", "ETag", "Idempotent-Replayed", "Preference-Applied")
    made = answer("The record is new.", "Record", *names, created=examples.NEW_RECORD)
    place = {"collection": "$response.body#/collection", "id": "$response.body#/id"}
    made["links"] = {
        name: link(name, **place) for name in ("getRecord", "replaceRecord", "mergeRecord", "deleteRecord")
    }
    return made


def _changed() -> Part:
    names = ("ETag", "Idempotent-Replayed", "Preference-Applied")
    return answer("The record as it is now.", "Record", *names, changed=examples.RECORD)


def _get() -> Part:
    pending = in_query(
        "pending",
        "`apply`: show the record as it will be once the held operations are applied. Such an answer has no ETag.",
        "apply",
        {"type": "string", "enum": ["apply"]},
    )
    found = answer(
        "The record, from the cache if the store cannot be asked.", "Record", "ETag", *_REMARKS, found=examples.RECORD
    )
    return {
        "operationId": "getRecord",
        "summary": "Read a record",
        "tags": ["records"],
        "parameters": [pending, _IF_MATCH, _KNOWN],
        "responses": {
            "200": found,
            "304": {"description": "Still at that version.", **headers("ETag", *_REMARKS)},
            **problems(NOT_FOUND, PRECONDITION, UNAVAILABLE),
        },
    }


def _page(limits: Limits) -> Part:
    size = {"type": "integer", "minimum": 1, "maximum": limits.longest_page, "default": limits.page}
    return {
        "operationId": "listRecords",
        "summary": "Page through a collection by id",
        "description": "From the store only: a page cannot be had while it is away.",
        "tags": ["records"],
        "parameters": [
            in_query("limit", "The most records of a page.", 1, size),
            in_query("cursor", "The `next_cursor` of the page before.", examples.PAGE["next_cursor"], _CURSOR),
        ],
        "responses": {
            "200": answer("A page.", "RecordPage", "Link", page=examples.PAGE),
            **problems(UNAVAILABLE),
        },
    }
