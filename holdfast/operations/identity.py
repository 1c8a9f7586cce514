"""Ids of operations and of the records that they create.

One logical operation has one id on every path: a client's repeat with the same Idempotency-Key must find the
operation of its first try, in the ledger or in the store, whichever process asks.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid

_VERSION_7 = 7 << 76
_VERSION_8 = 8 << 76
_VARIANT = 0b10 << 62
_FIELDS = ~(0xF << 76 | 0b11 << 62)


def new_operation_id() -> str:
    """A UUIDv7 (RFC 9562, 5.7): ids of the same time lie together in the store's index."""
    milliseconds = time.time_ns() // 1_000_000
    return _uuid(milliseconds << 80 | int.from_bytes(os.urandom(10)), _VERSION_7)


def keyed_operation_id(principal: str, key: str) -> str:
    """The id of every try that `principal` makes with `key`: a UUIDv8 (RFC 9562, 5.8) of their digest."""
    name = f"{len(principal)}:{principal}{key}".encode()
    return _uuid(int.from_bytes(hashlib.sha256(name).digest()[:16]), _VERSION_8)


def created_record_id(operation_id: str) -> str:
    """The id of the record that the operation creates where the client gave none."""
    return operation_id.replace("-", "")


def fingerprint(method: str, path: str, precondition: str, body: bytes) -> str:
    """A digest that tells a repeat from another request under the same key."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (method.encode(), path.encode(), precondition.encode()):
        digest.update(len(part).to_bytes(4) + part)
    digest.update(body)
    return digest.hexdigest()


def _uuid(bits: int, version: int) -> str:
    return str(uuid.UUID(int=bits & _FIELDS | version | _VARIANT))
