"""URLs of servers, as settings take them. What a URL holds stays out of every message: it has a password in it."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, TypeAdapter, ValidationError

# An @ that is no part of an option: what is before it was meant as a password.
_CUT_SHORT = re.compile(r"(?!unix:)[a-z+]+://[^/?#]*[/?#][^=]*@")
# What a password may hold that means something else in a URL.
_ENCODED = "; in a user or password, percent-encode @ (%40) / (%2F) : (%3A) ? (%3F) # (%23) % (%25) [ (%5B) ] (%5D)"


def _url(*schemes: str) -> AfterValidator:
    """The value must be a URL with one of these schemes and a host; what it is stays out of every message."""

    def check(secret: SecretStr) -> SecretStr:
        parts = _parts(secret.get_secret_value())
        if parts.scheme not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if not (parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2] or "host=" in parts.query):
            raise ValueError(f"names no host{_ENCODED if '@' in secret.get_secret_value() else ''}")
        return secret

    return AfterValidator(check)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError:
        raise ValueError(f"is not a URL: its host or port cannot be read{_ENCODED}") from None
    if _CUT_SHORT.match(url):
        raise ValueError(f"is not a URL: there is an @ behind its host{_ENCODED}")
    return parts


def _readable_by_libpq(secret: SecretStr) -> SecretStr:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = conninfo_to_dict(secret.get_secret_value())
    except ProgrammingError:
        raise ValueError(f"is not a connection URL as libpq knows it{_ENCODED}") from None
    if "@" in str(found.get("host", "")):
        raise ValueError(f"is not a URL: there is an @ in its host{_ENCODED}")
    return secret


def _readable_by_pymongo(secret: SecretStr) -> SecretStr:
    """mongodb+srv is asked of the DNS, and so later."""
    from pymongo.errors import ConfigurationError, InvalidURI
    from pymongo.uri_parser import parse_uri

    url = secret.get_secret_value()
    try:
        _ = url.startswith("mongodb+srv") or parse_uri(url)
    except OSError:
        raise ValueError("names a file that cannot be read") from None
    except (ConfigurationError, InvalidURI, ValueError):
        raise ValueError(f"is not a connection URL as MongoDB's drivers know it{_ENCODED}") from None
    return secret


PostgresUrl = Annotated[SecretStr, _url("postgresql", "postgres"), AfterValidator(_readable_by_libpq)]
MongoUrl = Annotated[SecretStr, _url("mongodb", "mongodb+srv"), AfterValidator(_readable_by_pymongo)]
RedisUrl = Annotated[SecretStr, _url("redis", "rediss", "unix")]
BrokerUrl = Annotated[SecretStr, _url("redis", "rediss", "amqp", "amqps")]


def _list_of_urls(value: object) -> object:
    """Apart at the commas before a scheme: a URL of libpq may name several hosts, with commas between them."""
    return tuple(re.split(r"\s*,\s*(?=[A-Za-z]+://)", value.strip())) if isinstance(value, str) else value


def _each_of_postgres(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Told as one value: an element has no variable of its own."""
    check = TypeAdapter(PostgresUrl)
    for number, url in enumerate(urls, 1):
        try:
            check.validate_python(url)
        except ValidationError as error:
            raise ValueError(f"{error.errors()[0]['ctx']['error']} (URL {number} of {len(urls)})") from None
    return urls


PostgresUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(_list_of_urls), AfterValidator(_each_of_postgres)]
