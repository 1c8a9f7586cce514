"""What the library tells about itself, through one listener interface.

Names are lower case and dotted, `<pattern>.<what happened>`, as OpenTelemetry names things.
Listeners are called outside every lock, in the thread of the call that caused the event, so
events of racing calls may arrive in another order than they happened in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    name:       what, such as `breaker.state_changed`.
    source:     the name of the thing that it happened to.
    attributes: the details, by name.

    >>> Event("retry.scheduled", "store", {"attempt": 1, "delay": 0.1}).attributes["attempt"]
    1
    """

    name: str
    source: str
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)


Listener = Callable[[Event], None]


def emit(listener: Listener | None, event: Event | None) -> None:
    """Tell the listener, if there are both; its failure is logged and changes nothing."""
    if listener is None or event is None:
        return
    try:
        listener(event)
    except Exception:  # noqa: BLE001 - a listener is somebody else's code
        _log.exception("a listener failed on %s", event)


def fan_out(*listeners: Listener) -> Listener:
    """One listener that tells each of these; one that fails does not keep it from the others.

    >>> heard = []
    >>> listener: Listener = fan_out(heard.append, heard.append)
    >>> listener(Event("bulkhead.rejected", "store"))
    >>> len(heard)
    2
    """

    def tell_all(event: Event) -> None:
        for listener in listeners:
            emit(listener, event)

    return tell_all
