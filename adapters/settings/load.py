"""Reads the settings, and says what is wrong with them so that a person can put it right."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..exits import WRONG_SETTINGS, end
from .files import unusable_files
from .model import PREFIX, Settings
from .variables import name_of, variables

log = logging.getLogger(__name__)

# Read by the local stack, compose, clients and the tests, not by the services.
_PORTS = ("POSTGRES_PORT", "MONGO_PORT", "LEDGER_PORT", "CACHE_PORT", "WORKER_PORT", "SWEEPER_PORT")
_OTHERS = frozenset({f"{PREFIX}{name}" for name in (*_PORTS, "API_KEY", "CHAOS_KEY", "REQUIRE_ALL", "TAG")})
# Hosts and their ports, as a URL has them.
_HOSTS = re.compile(r"[^:]*(:[0-9]*)?(,[^:]*(:[0-9]*)?)*")


class SettingsError(ValueError):
    """Some settings are wrong; the text names each, its problem and an example, and no secret."""


def load() -> Settings:
    """The settings from the environment. Raises SettingsError; warns of names that nothing reads."""
    for line in unknown(os.environ):
        log.warning(line)
    try:
        return Settings.model_validate({})
    except ValidationError as error:
        raise SettingsError(_text(_line(detail, os.environ) for detail in error.errors(include_url=False))) from None


def load_or_exit() -> Settings:
    """The settings, or the end of the process with exit code 2 and the reason on standard error.

    For programs without arguments: `--help` ends the process with 0, and any other with 2.
    """
    _take_no_arguments()
    try:
        settings = load()
    except SettingsError as error:
        end(str(error), WRONG_SETTINGS)
    if unusable := unusable_files(settings):
        end(_text(unusable), WRONG_SETTINGS)
    return settings


def _take_no_arguments() -> None:
    program = sys.modules["__main__"]
    name = program.__spec__.name.removesuffix(".__main__") if program.__spec__ else program.__name__
    argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=program.__doc__,
        epilog="Settings are environment variables: docs/reference/settings.md and .env.example list them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()


def unknown(environ: Mapping[str, str]) -> list[str]:
    """A line for each `HOLDFAST_` variable that nothing reads, with the nearest name that something does."""
    known = variables()
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in _OTHERS and name not in known)
    return [f"{name} is not a setting and does nothing{_nearest(name, known)}" for name in names]


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _line(detail: ErrorDetails, environ: Mapping[str, str]) -> str:
    name = name_of(tuple(str(part) for part in detail["loc"]))
    variable = variables().get(name)
    if variable is None:
        part = next(iter(difflib.get_close_matches(name, variables(), n=1)), "")
        return f"{name} is a group of settings; set them one by one, for example {part}={variables()[part].example}"
    example = f"for example {name}={variable.example}"
    if name not in environ or not environ[name]:
        problem = "is not set" if detail["type"] == "missing" else _problem(detail)
        return f"{name} {problem}; {example}"
    shown = _without_secrets(environ[name]) if variable.kind == "URL" else repr(environ[name])
    return f"{name}={shown} {_problem(detail)}; {example}"


def _problem(detail: ErrorDetails) -> str:
    """The trouble as the end of a sentence that begins with the variable."""
    context: dict[str, Any] = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return str(context["error"])
    return detail["msg"].replace("Input should be", "must be").replace("String should match", "must match")


def _without_secrets(url: str) -> str:
    """Scheme and host; a user, path or query may hold a secret, and so may a host that a / in a password cut short."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(hidden)"
    hosts = parts.netloc.rpartition("@")[2]
    is_whole = "@" not in parts.path + parts.query + parts.fragment and _HOSTS.fullmatch(hosts)
    return f"'{parts.scheme}://...{hosts if is_whole else ''}'" if parts.netloc else "(hidden)"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(["The settings are wrong:", *(f"  {line}" for line in lines)])
