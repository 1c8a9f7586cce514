"""The file of keys: what the API reads, changed as a whole and by one at a time.

The key itself is nowhere in it, only its SHA-256. docs/how-to/keys.md describes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.errors import KeysError

Entry = dict[str, Any]

_PREFIX = "hfk"
_BYTES = 32


def new_key() -> tuple[str, str]:
    """An id, and a key of 256 random bits that tells it."""
    id_ = secrets.token_hex(6)
    return id_, f"{_PREFIX}_{id_}_{secrets.token_urlsafe(_BYTES)}"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> list[Entry]:
    """The entries, none where there is no file. Raises KeysError."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise KeysError(f"{path} is no JSON: {error}") from error
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) and "id" in each for each in entries):
        raise KeysError(f'{path} is no file of keys: it must be {{"keys": [...]}}')
    return entries


@contextlib.contextmanager
def changing(path: Path) -> Iterator[list[Entry]]:
    """The entries, to be changed in place; the file is replaced at the end, unless the block raises.

    Others who change it wait meanwhile. Raises KeysError.
    """
    try:
        path = path.resolve()
        with _turn(path.parent):
            entries = read(path)
            yield entries
            _replace(path, json.dumps({"keys": entries}, indent=2) + "\n")
    except OSError as error:
        raise KeysError(f"{error.filename or path}: {error.strerror}") from error


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Who reads it finds the old file or the new one. A new file is its owner's only; an old one's owner stays."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            _as_before(path, descriptor)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _as_before(path: Path, descriptor: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        before = path.stat()
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o640 | 0o600)
        if os.geteuid() == 0:
            os.fchown(descriptor, before.st_uid, before.st_gid)
