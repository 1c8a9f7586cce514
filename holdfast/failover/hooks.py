"""Who else is told about a call, and how they are kept from changing it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec

from .attempts import Attempt
from .errors import AllProvidersFailed

P = ParamSpec("P")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for."""

    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Hooks:
    """Plain functions to be told. What they return is ignored; one that fails is logged and changes nothing.

    succeeded:  with the call, the provider's name and its result, once for each provider that did it.
    failed:     with the call, the provider's name and the error, after each failed call and before its retry.
    all_failed: with the call and the error, once, when nobody could do it.
    attempted:  with the call and each entry of the log of attempts as it is written: for an audit trail of your own.

    >>> from holdfast.failover import Failover, Provider
    >>> told = []
    >>> hooks = Hooks(succeeded=lambda call, provider, result: told.append((call, provider, result)))
    >>> Failover("lengths", [Provider(len)], hooks=hooks).sync_method()("four")
    4
    >>> told
    [(Call(method='__call__', args=('four',), kwargs={}), 'len', 4)]
    """

    succeeded: Callable[[Call, str, Any], object] | None = None
    failed: Callable[[Call, str, Exception], object] | None = None
    all_failed: Callable[[Call, AllProvidersFailed], object] | None = None
    attempted: Callable[[Call, Attempt], object] | None = None

    def __post_init__(self) -> None:
        for name in ("succeeded", "failed", "all_failed", "attempted"):
            if iscoroutinefunction(getattr(self, name)):
                raise TypeError(f"the hook {name!r} must be a plain function that does not block")


def safely(fn: Callable[P, object]) -> Callable[P, None]:
    """Make bookkeeping harmless: whatever goes wrong in it is logged, and the call that it is about goes on."""

    @wraps(fn)
    def harmless(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            fn(*args, **kwargs)
        except Exception:  # noqa: BLE001 - a call must not fail for its bookkeeping
            _log.exception("the bookkeeping in %s failed", fn)

    return harmless


def run_hook(hook: Callable[P, object] | None, *args: P.args, **kwargs: P.kwargs) -> None:
    """Tell a hook, if there is one."""
    if hook is not None:
        safely(hook)(*args, **kwargs)
