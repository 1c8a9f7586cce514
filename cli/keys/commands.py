"""`holdfast keys …`: make, list and revoke API keys."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from cli.errors import KeysError

from . import file
from .file import Entry

SCOPES = ("read", "write", "admin")
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_COLLECTIONS = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SPAN = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Expiry(click.ParamType[str]):
    """A span from now, or a time; RFC 3339 in UTC."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        span = _SPAN.fullmatch(value)
        if span:
            return _text(datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])}))
        try:
            ends = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a span (12h, 90d, 52w) nor a time (2027-01-31T00:00:00Z)", param, ctx)
        ends = ends.replace(tzinfo=ends.tzinfo or UTC)
        if ends <= datetime.now(UTC):
            self.fail(f"{value!r} is over already", param, ctx)
        return _text(ends.astimezone(UTC))


def _matching(pattern: re.Pattern[str], what: str) -> Any:
    def check(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
        if value is not None and not pattern.fullmatch(value):
            raise click.BadParameter(f"{value!r} is not {what}")
        return value

    return check


_file = click.option(
    "--file",
    "path",
    envvar="HOLDFAST_KEYS_FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of keys; HOLDFAST_KEYS_FILE where it is not given.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def keys() -> None:
    """Make, list and revoke API keys.

    They stand in a file, as digests; the API reads it again within a second of a change. Exit codes: 0 done, 1 it could
    not be done, 2 wrong arguments.
    """


@keys.command()
@_file
@click.option(
    "--principal",
    required=True,
    callback=_matching(_PRINCIPAL, "1 to 100 letters, digits, '.', '_', '@' and '-'"),
    help="Who will use it: jobs and Idempotency-Keys belong to a principal. It may have several keys.",
)
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; more than once for several.",
)
@click.option(
    "--collections",
    callback=_matching(_COLLECTIONS, "the beginning of a collection's name: a-z, 0-9, '-' and '_'"),
    metavar="PREFIX",
    help="Only for collections whose names begin so.",
)
@click.option("--expires", type=Expiry(), help="When it ends: 12h, 90d, 52w, or a time as 2027-01-31T00:00:00Z.")
@_json
def create(
    path: Path, principal: str, scopes: tuple[str, ...], collections: str | None, expires: str | None, as_json: bool
) -> None:
    """Make a key and print it, this once."""
    if collections and "admin" in scopes:
        raise click.UsageError("admin is for every collection: leave --collections or --scope admin out")
    id_, key = file.new_key()
    entry: Entry = {
        "id": id_,
        "principal": principal,
        "sha256": file.digest(key),
        "scopes": sorted(set(scopes)),
    }
    optional = {"collections": collections, "expires_at": expires}
    entry |= {name: value for name, value in optional.items() if value}
    with file.changing(path) as entries:
        entries.append(entry | {"created_at": _text(datetime.now(UTC))})
    if as_json:
        click.echo(json.dumps({**_shown(entry), "key": key}))
        return
    click.echo(f"Key {id_} of {principal} is in {path}. It is shown this once:", err=True)
    click.echo(key)


@keys.command("list")
@_file
@_json
def list_(path: Path, as_json: bool) -> None:
    """Show all keys, as far as they are known here: not the keys themselves."""
    if not path.exists():
        raise KeysError(f"{path}: there is no such file; `holdfast keys create` makes it")
    entries = file.read(path)
    if as_json:
        click.echo(json.dumps([_shown(entry) for entry in entries], indent=2))
        return
    click.echo(f"{'ID':<12}  {'PRINCIPAL':<20}  {'SCOPES':<16}  {'COLLECTIONS':<12}  EXPIRES")
    for entry in entries:
        click.echo(_row(entry))


@keys.command()
@_file
@click.argument("id_", metavar="ID")
def revoke(path: Path, id_: str) -> None:
    """Take the key with this ID out of the file: it is good for a second more at most."""
    with file.changing(path) as entries:
        left = [entry for entry in entries if entry["id"] != id_]
        if len(left) == len(entries):
            raise KeysError(f"there is no key {id_} in {path}; `holdfast keys list` shows all")
        entries[:] = left
    click.echo(f"{id_} is revoked")


def _shown(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name != "sha256"}


def _row(entry: Entry) -> str:
    scopes, ends = ",".join(entry.get("scopes", [])), entry.get("expires_at") or "never"
    if _is_over(ends):
        ends += " (expired)"
    return (
        f"{entry['id']:<12}  {entry.get('principal', '-'):<20}  {scopes:<16}"
        f"  {entry.get('collections') or 'all':<12}  {ends}"
    )


def _is_over(ends: str) -> bool:
    with contextlib.suppress(ValueError, TypeError):
        return datetime.fromisoformat(ends) <= datetime.now(UTC)
    return False


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
