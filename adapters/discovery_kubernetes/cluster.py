"""How to reach a cluster's API server, and as whom."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from holdfast.failover import Invalid

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that this process runs in, unless told otherwise.

    url:     of the API server; if empty, where a pod finds it (`KUBERNETES_SERVICE_HOST` and `_PORT`).
    account: folder with `token`, `ca.crt` and `namespace`, as mounted into pods; what is not there is done without.
    """

    url: str = ""
    account: Path = _ACCOUNT

    def address(self) -> str:
        """The URL of the API server; Invalid if nothing names it."""
        if self.url:
            return self.url
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise Invalid("KUBERNETES_SERVICE_HOST is not set, so this is no pod: name the URL of the API server")
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    def namespace(self) -> str:
        """The namespace of this pod; Invalid outside of one."""
        try:
            return (self.account / "namespace").read_text().strip()
        except FileNotFoundError:
            raise Invalid(f"there is no {self.account / 'namespace'}: name the namespace of the Service") from None

    def headers(self) -> dict[str, str]:
        """Who asks. Read anew each time, since the token is replaced from time to time."""
        token = self.account / "token"
        return {"Authorization": f"Bearer {token.read_text().strip()}"} if token.exists() else {}

    def trust(self) -> ssl.SSLContext:
        """Whose certificates to believe: the cluster's own authority, or those that the system believes."""
        authority = self.account / "ca.crt"
        return ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
