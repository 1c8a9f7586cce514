"""Certificates for servers on loopback, made by OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .processes import missing


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Key and certificate for 127.0.0.1; the certificate is its own authority."""
    key, certificate = folder / "key.pem", folder / "ca.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    try:
        subprocess.run(
            [*command, *names, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
        )
    except FileNotFoundError:
        missing("openssl")
    return key, certificate
