"""`python -m api`: the HTTP edge as a process of its own.

Ends with 0 after SIGTERM or SIGINT, with 2 when the settings are wrong, with 3 when the address cannot be had.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from adapters import logs
from adapters.exits import CANNOT_LISTEN, WRONG_SETTINGS, end
from adapters.garbage_collection import collect_garbage_less_often
from adapters.keys_file import KeysFile, KeysFileError
from adapters.settings import load_or_exit
from adapters.telemetry import lines_of

from .server import CannotListen, NeedsKeys, listen, serve


def main() -> None:
    settings = load_or_exit()
    lines = lines_of("api", os.environ)
    logs.configure(settings.log_level, settings.log_format, lines.add, lines.send)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it would tell of its start and end beside us
    try:
        keys = None if settings.keys_file is None else KeysFile(settings.keys_file)
        only_loopback = keys is None and settings.open == "loopback"
        listener = listen(settings.api_host, settings.api_port, only_loopback=only_loopback)
    except KeysFileError as error:
        end(f"HOLDFAST_KEYS_FILE: {error}", WRONG_SETTINGS)
    except NeedsKeys as error:
        end(str(error), WRONG_SETTINGS)
    except CannotListen as error:
        end(str(error), CANNOT_LISTEN)
    _raise_the_limit_of_files()
    collect_garbage_less_often()
    with contextlib.closing(lines), asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(serve(settings, listener, keys))


def _raise_the_limit_of_files() -> None:
    """Each connection is a file; the limit that shells hand down is for programs that wait on files by `select`."""
    try:
        import resource
    except ImportError:
        return  # there is no such limit on Windows
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS calls it infinite and takes no such number
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
