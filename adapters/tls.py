"""Who signs the servers' certificates and which one we show, in the words of each driver.

What a URL says itself counts before any of it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


class TlsFiles(NamedTuple):
    """PEM files. ca: None for whom the system trusts. cert, key: shown to servers that ask for one."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def libpq(self) -> dict[str, str]:
        """Connection parameters (PostgreSQL, 32.1.2); an authority of one's own is there to be checked in full."""
        mode = {"sslmode": "verify-full"} if self.ca else {}
        return mode | _given(sslrootcert=self.ca, sslcert=self.cert, sslkey=self.key)

    def redis(self, url: str) -> str:
        """The URL for redis-py, which takes these in its query."""
        parts = urlsplit(url)
        if parts.scheme != "rediss":
            return url
        ours = _given(ssl_ca_certs=self.ca, ssl_certfile=self.cert, ssl_keyfile=self.key)
        return urlunsplit(parts._replace(query=urlencode(ours | dict(parse_qsl(parts.query, keep_blank_values=True)))))

    def mongo(self, url: str) -> str:
        """The URL for pymongo, with whom to trust; it takes a certificate and its key from one file, as its URL says.

        Its options are alike in any case, `ssl` is `tls`, and `mongodb+srv` is TLS unless it says otherwise.
        """
        parts = urlsplit(url)
        said = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        tls = said.get("tls", said.get("ssl", "true" if parts.scheme == "mongodb+srv" else "false"))
        if self.ca is None or tls.lower() != "true" or "tlscafile" in said:
            return url
        query = "&".join(filter(None, (parts.query, urlencode({"tlsCAFile": str(self.ca)}))))
        return urlunsplit(parts._replace(path=parts.path or "/", query=query))

    def broker(self, url: str) -> dict[str, Any] | None:
        """Celery's `broker_use_ssl`; None where the URL asks for no TLS. Kombu by itself would check nothing."""
        parts = urlsplit(url)
        if parts.scheme == "amqps":
            files = _given(ca_certs=self.ca, certfile=self.cert, keyfile=self.key)
            return {**files, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
        if parts.scheme == "rediss":
            files = _given(ssl_ca_certs=self.ca, ssl_certfile=self.cert, ssl_keyfile=self.key)
            return {**files, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return None


def _given(**files: Path | None) -> dict[str, str]:
    return {name: str(file) for name, file in files.items() if file is not None}
