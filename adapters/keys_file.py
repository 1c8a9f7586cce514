"""API keys from a file that is read again when it changes.

Only a digest of each key stands there. A key is 256 random bits, so that a fast digest is as good as a slow one:
there is nothing to guess (docs/adr/keys-are-digests.md). `holdfast keys` writes the file; it is JSON:

    {"keys": [{"id": "0a1b2c3d4e5f", "principal": "shop", "sha256": "…64 hex digits…", "scopes": ["read", "write"],
               "collections": "shop-", "expires_at": "2027-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z"}]}
"""

from __future__ import annotations

import logging
import stat
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from holdfast.clock import Clock, system_clock

log = logging.getLogger(__name__)

# A key that was taken out of the file is good for at most this long.
SECONDS_BETWEEN_LOOKS = 1.0
_LARGEST = 16_777_216


# What a key may do. `admin` is for operators: it names no collection, and sees every job.
KeyScope = Literal["read", "write", "admin"]
READ: KeyScope = "read"
WRITE: KeyScope = "write"
ADMIN: KeyScope = "admin"
SCOPES = frozenset({READ, WRITE, ADMIN})


class Key(NamedTuple):
    """A key as the file has it, and so who asks with it.

    digest:      SHA-256 of the key itself.
    collections: it is good for collections whose names begin so; empty for all.
    expires_at:  seconds since the epoch, None for never.
    """

    id: str
    principal: str
    digest: bytes
    scopes: frozenset[KeyScope]
    collections: str = ""
    expires_at: float | None = None


class KeysFileError(ValueError):
    """The file cannot be used; the text says why, and no secret."""


class KeysFile:
    """The keys of a file, which is looked at again at most once a second.

    Raises KeysFileError if the file cannot be used at the beginning. If that happens later it is logged, and the keys
    that were read last go on being good.
    """

    def __init__(self, path: Path, *, clock: Clock = system_clock) -> None:
        self.path = path
        self._clock = clock
        self._seen = _signature(path)
        self._keys = read_keys(path)
        self._trouble = ""
        self._next_look = clock.monotonic() + SECONDS_BETWEEN_LOOKS
        if not self._keys:
            log.warning("there is no key in %s: nobody is let in; make one with `holdfast keys create`", path)

    def find(self, token: bytes) -> Key | None:
        """The key that a client has sent as `token`, expired or not; None if the file has none such."""
        now = self._clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            self._look()
        parts = token.split(b"_", 2)
        known = self._keys.get(parts[1]) if len(parts) > 1 else None
        return known if known is not None and compare_digest(sha256(token).digest(), known.digest) else None

    def _look(self) -> None:
        seen = _signature(self.path)
        if seen == self._seen:
            return
        try:
            self._keys = read_keys(self.path)
        except KeysFileError as error:
            self._complain(str(error))
        else:
            self._seen, self._trouble = seen, ""
            log.info("read %s; keys: %d", self.path, len(self._keys))

    def _complain(self, trouble: str) -> None:
        """Once, though the file is tried at every look: what was wrong may be so no more without a change of it."""
        if trouble != self._trouble:
            self._trouble = trouble
            log.error("the keys stay as they were: %s", trouble)


def read_keys(path: Path) -> dict[bytes, Key]:
    """The keys by id. Raises KeysFileError."""
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            raise KeysFileError(f"{path}: anybody may write to it; chmod o-w")
        with path.open("rb") as file:
            entries = _decode(file.read(_LARGEST)).keys
    except OSError as error:
        raise KeysFileError(f"{path}: {error.strerror}; `holdfast keys create` makes one") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysFileError(f"{path} is no file of keys: {error}") from None
    keys = {entry.id.encode(): _key(entry, path) for entry in entries}
    if len(keys) != len(entries):
        raise KeysFileError(f"{path}: an id stands there more than once")
    return keys


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-z]{1,32}$")]
    principal: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[list[KeyScope], msgspec.Meta(min_length=1)]
    collections: Annotated[str, msgspec.Meta(pattern="^([a-z0-9][a-z0-9_-]{0,63})?$")] = ""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    created_at: datetime | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Entry]


_decode = msgspec.json.Decoder(_File).decode


def _key(entry: _Entry, path: Path) -> Key:
    if entry.collections and ADMIN in entry.scopes:
        raise KeysFileError(f"{path}: key {entry.id}: admin is for every collection; leave collections out")
    expires_at = None if entry.expires_at is None else entry.expires_at.timestamp()
    digest = bytes.fromhex(entry.sha256)
    return Key(entry.id, entry.principal, digest, frozenset(entry.scopes), entry.collections, expires_at)


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Another one after every change; None while there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
