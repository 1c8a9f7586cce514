"""One policy for each key: what one tenant or host does is counted for that one alone.

Polly has partitioned rate limiters, resilience4j registries of each pattern; here any policy can be parted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from .checks import require
from .policy import FunctionGuard, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")
OnePolicy = TypeVar("OnePolicy", bound=Policy)


class Partitioned(FunctionGuard, Generic[OnePolicy]):
    """Guards each call by the policy of its key, which is made when the key is first seen.

    make: the policy of a key: a breaker, a limit, a pipeline. Called outside the lock; where two first calls of a key
          meet it may be called twice, and one of the two policies is kept.
    key:  hashable, made from the arguments of the call.
    size: policies kept, at least 1. The one used least lately goes first, with all that it knew, but none goes that has
          a call under way: while more keys than that have one, more are kept.

    What `make` and `key` raise comes out of the call. Shared freely by threads and event loops.

    >>> from holdfast.bulkhead import Bulkhead
    >>> hosts = Partitioned(lambda host: Bulkhead(2, name=f"to {host}"), key=lambda host, path: host)
    >>> @hosts  # or by call and acall
    ... def get(host, path):
    ...     return f"http://{host}{path}"
    >>> get("a.example", "/")
    'http://a.example/'
    >>> hosts["a.example"].running, list(hosts.policies())
    (0, ['a.example'])
    """

    def __init__(self, make: Callable[[Any], OnePolicy], *, key: Callable[..., Hashable], size: int = 1024) -> None:
        require(size >= 1, "size", "at least 1", size)
        self.size = size
        self._make = make
        self._key = key
        self._lock = threading.Lock()
        self._parts = OrderedDict[Hashable, _Part[OnePolicy]]()

    def __getitem__(self, key: Hashable) -> OnePolicy:
        """The policy of a key, which counts as a use of it; made if there is none."""
        return self._find(key, calls=0).policy

    def policies(self) -> dict[Hashable, OnePolicy]:
        """Those that there are, by key, the one used least lately first."""
        with self._lock:
            return {key: part.policy for key, part in self._parts.items()}

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            part = self._find(self._key(*args, **kwargs), calls=1)
            try:
                return part.policy.call(fn, *args, **kwargs)
            finally:
                self._leave(part)

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            part = self._find(self._key(*args, **kwargs), calls=1)
            try:
                return await part.policy.acall(fn, *args, **kwargs)
            finally:
                self._leave(part)

        return guarded

    def _find(self, key: Hashable, *, calls: int) -> _Part[OnePolicy]:
        part = self._known(key, calls)
        if part is None:
            made = _Part(self._make(key))
            with self._lock:
                part = self._parts.setdefault(key, made)
                part.calls += calls
                self._forget(spare=part)
        return part

    def _known(self, key: Hashable, calls: int) -> _Part[OnePolicy] | None:
        with self._lock:
            part = self._parts.get(key)
            if part is not None:
                part.calls += calls
                self._parts.move_to_end(key)
            return part

    def _leave(self, part: _Part[OnePolicy]) -> None:
        with self._lock:
            part.calls -= 1
            self._forget()

    def _forget(self, spare: _Part[OnePolicy] | None = None) -> None:
        """Under the lock: those used least lately, down to the size."""
        over = len(self._parts) - self.size
        if over > 0:
            idle = (key for key, part in self._parts.items() if not part.calls and part is not spare)
            for key in [*islice(idle, over)]:
                del self._parts[key]


class _Part(Generic[OnePolicy]):
    """The policy of one key. calls: under way."""

    __slots__ = ("calls", "policy")

    def __init__(self, policy: OnePolicy) -> None:
        self.policy = policy
        self.calls = 0
