"""Certificates that the settings name: tried when a process starts, not when the first connection fails."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from .model import PREFIX, Settings


def unusable_files(settings: Settings) -> list[str]:
    """A line for each that cannot be used, with its variable."""
    return [
        *_unusable_authority("tls_ca_file", settings.tls_ca_file),
        *_unusable_pair("tls_cert_file", settings.tls_cert_file, settings.tls_key_file),
        *_unusable_pair("api_tls_cert_file", settings.api_tls_cert_file, settings.api_tls_key_file),
    ]


def _unusable_authority(name: str, file: Path | None) -> Iterator[str]:
    if file is not None:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            yield _line(name, file, error, "holds no certificate as PEM")


def _unusable_pair(name: str, cert: Path | None, key: Path | None) -> Iterator[str]:
    if cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
        except OSError as error:
            yield _line(name, cert, error, f"and {key} are no certificate and its key as PEM")


def _line(name: str, file: Path, error: OSError, trouble: str) -> str:
    """ssl.SSLError is an OSError whose text is for OpenSSL's authors."""
    reason = trouble if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
    return f"{PREFIX}{name.upper()}={str(file)!r} {reason}"
