"""Log lines on standard error: for people, or one JSON object each."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

# Their debug lines would drown ours.
_CHATTY = ("amqp", "asyncio", "kombu", "celery.bootsteps", "celery.utils.functional")


def configure(level: str = "info", form: Literal["text", "json"] = "text") -> None:
    """Send everything at `level` and above to standard error, instead of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))


def _text() -> logging.Formatter:
    form = logging.Formatter(
        "{asctime}.{msecs:03.0f}Z {levelname:<7} {name}: {message}", "%Y-%m-%dT%H:%M:%S", style="{"
    )
    form.converter = time.gmtime
    return form


class _Json(logging.Formatter):
    """time (RFC 3339), level, logger, message, and the traceback as `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
