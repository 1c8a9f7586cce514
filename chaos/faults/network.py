"""Connections that are slow, silent, half open or broken, by a real Toxiproxy.

A target is a link, as `api-postgres`, `worker-ledger` or `client-api`, or a name for all links that lead to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from ..errors import Impossible
from ..system import System, to_its_end
from ..toxiproxy import Toxiproxy

_Options = Mapping[str, Any]
_Fault = Callable[[System, str, _Options], AbstractAsyncContextManager[None]]


def _toxic(kind: str, streams: tuple[str, ...], attributes: Callable[[_Options], Mapping[str, Any]]) -> _Fault:
    @asynccontextmanager
    async def fault(system: System, target: str, options: _Options) -> AsyncIterator[None]:
        proxies = _proxies(system)
        async with AsyncExitStack() as cures:

            async def poison(link: str, stream: str) -> None:
                name = f"{kind}-{stream}"
                await proxies.poison(link, name, kind, stream, attributes(options))
                cures.push_async_callback(proxies.cure, link, name)

            for link in system.links(target):
                for stream in streams:
                    await to_its_end(poison(link, stream))
            yield

    return fault


# Answers come `latency` ± `jitter` milliseconds late.
latency = _toxic(
    "latency", ("downstream",), lambda given: {"latency": given.get("latency", 400), "jitter": given.get("jitter", 100)}
)
# Nothing arrives any more, in either direction; connections stay.
blackhole = _toxic("timeout", ("upstream", "downstream"), lambda _: {"timeout": 0})
# What is sent arrives and takes effect; no answer comes back.
half_open = _toxic("timeout", ("downstream",), lambda _: {"timeout": 0})
# Connections are reset `after` milliseconds.
reset = _toxic("reset_peer", ("downstream",), lambda given: {"timeout": given.get("after", 50)})
# Connections close `delay` milliseconds late.
slow_close = _toxic("slow_close", ("upstream", "downstream"), lambda given: {"delay": given.get("delay", 2000)})


@asynccontextmanager
async def down(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """Connections are closed and new ones refused."""
    proxies = _proxies(system)
    async with AsyncExitStack() as cures:

        async def close(link: str) -> None:
            await proxies.enable(link, on=False)
            cures.push_async_callback(proxies.enable, link, on=True)

        for link in system.links(target):
            await to_its_end(close(link))
        yield


def _proxies(system: System) -> Toxiproxy:
    if system.proxies is None:
        raise Impossible("this fault needs a proxy between the parts, and this system runs without one")
    return system.proxies
