"""The Retry-After header of HTTP (RFC 9110, section 10.2.3), for errors that carry how long they ask to wait."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from .clock import Clock, system_clock


def parse_retry_after(header: str | None, *, clock: Clock = system_clock) -> float:
    """Seconds to wait: the header's number, or until its date; 0 for no header, a past date, or nonsense.

    >>> parse_retry_after("120")
    120.0
    >>> parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), parse_retry_after("soon"), parse_retry_after(None)
    (0.0, 0.0, 0.0)
    """
    if header is None:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock.time())
    except (ValueError, OverflowError):
        return 0.0
