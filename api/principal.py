"""Who asks, and what they may: API keys as bearer tokens (RFC 6750)."""

from __future__ import annotations

from collections.abc import Callable

from adapters.keys_file import ADMIN, SCOPES, Key, KeyScope, KeysFile
from holdfast.clock import Clock
from holdfast.operations.model import Job

from .answers import Header, Scope
from .negotiation import Headers
from .problems import INSUFFICIENT_SCOPE, UNAUTHENTICATED, HttpProblem

ANONYMOUS = "anonymous"
ASKER = "holdfast.asker"
_SCHEME = b"bearer "


ANYBODY = Key("", ANONYMOUS, b"", SCOPES)

# A request's ASGI scope and fields, what it needs, and the collection it is about: the key with which it asks.
# Raises HttpProblem where it may not.
Admit = Callable[[Scope, Headers, KeyScope, str | None], Key]


def everybody(_scope: Scope, _headers: Headers, _needed: KeyScope, _collection: str | None = None) -> Key:
    """Admit without keys."""
    return ANYBODY


def sees(asker: Key, job: Job) -> bool:
    """Whether it is the asker's own job, in a collection that is open to it; operators see all."""
    if ADMIN in asker.scopes:
        return True
    operation = job.operation
    return operation.principal == asker.principal and operation.resource.collection.startswith(asker.collections)


def holders_of(keys: KeysFile, clock: Clock) -> Admit:
    """Admit those who present one of the keys."""

    def admit(_scope: Scope, headers: Headers, needed: KeyScope, collection: str | None = None) -> Key:
        given = headers.get(b"authorization", b"")
        if given[:7].lower() != _SCHEME:
            raise _unauthenticated("Send a key: Authorization: Bearer <key>.")
        key = keys.find(given[7:].strip())
        if key is None:
            raise _unauthenticated("The key is not known here.", error="invalid_token")
        if key.expires_at is not None and clock.time() >= key.expires_at:
            raise _unauthenticated("The key has expired.", error="invalid_token")
        if needed not in key.scopes:
            raise _insufficient(f"This needs a key with the scope {needed}.", needed)
        if collection is not None and not collection.startswith(key.collections):
            raise _insufficient(f"The key is for collections that begin with {key.collections}.", needed)
        return key

    return admit


def _unauthenticated(detail: str, **parameters: str) -> HttpProblem:
    return HttpProblem(UNAUTHENTICATED, detail, headers=[_challenge(parameters, detail)])


def _insufficient(detail: str, needed: KeyScope) -> HttpProblem:
    challenge = _challenge({"error": "insufficient_scope", "scope": needed}, detail)
    return HttpProblem(INSUFFICIENT_SCOPE, detail, headers=[challenge])


def _challenge(parameters: dict[str, str], detail: str) -> Header:
    """RFC 6750, 3: no error code for who sent no key."""
    told = {"realm": "holdfast", **parameters, **({"error_description": detail} if parameters else {})}
    return (b"www-authenticate", b"Bearer " + ", ".join(f'{name}="{value}"' for name, value in told.items()).encode())
