"""Certificates for servers and clients on loopback, made by OpenSSL."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from .processes import missing

_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
_LOOPBACK = ["-addext", "subjectAltName=IP:127.0.0.1"]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Key and certificate for 127.0.0.1; the certificate is its own authority."""
    key, certificate = folder / "key.pem", folder / "ca.crt"
    _openssl("req", "-x509", *_CURVE, "-subj", "/CN=localhost", *_LOOPBACK, "-keyout", key, "-out", certificate)
    return key, certificate


class Authority:
    """A throwaway one. ca: its certificate, by which those that it has signed are known."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.ca, self._key, self._folder = folder / f"{name}.pem", folder / f"{name}.key", folder
        _openssl("req", "-x509", *_CURVE, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.ca)

    def sign(self, name: str) -> tuple[Path, Path]:
        """Certificate and key for 127.0.0.1."""
        cert, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        signer = ["-CA", self.ca, "-CAkey", self._key]
        _openssl("req", "-x509", *_CURVE, "-subj", f"/CN={name}", *_LOOPBACK, *signer, "-keyout", key, "-out", cert)
        key.chmod(0o600)
        return cert, key

    def server_side(self, *, ask_for_a_certificate: bool = False) -> ssl.SSLContext:
        """For a server; it may ask its clients for a certificate of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        context.load_cert_chain(*self.sign("server"))
        if ask_for_a_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _openssl(*arguments: str | Path) -> None:
    try:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    except FileNotFoundError:
        missing("openssl")
