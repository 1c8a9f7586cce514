"""Log lines on standard error, by structlog: for people, or one JSON object each.

Everybody logs by the standard library; its records go through here, those of Celery and uvicorn too. A line that is
about one operation has its `operation_id`, which is its job's id; one within a trace has `trace_id` and `span_id`.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TextIO

from structlog import contextvars, dev, processors, stdlib
from structlog.typing import EventDict, ExcInfo, Processor

Form = Literal["auto", "text", "json"]
Send = Callable[[logging.LogRecord, Mapping[str, Any]], None]

# Their debug lines would drown ours.
_CHATTY = ("amqp", "asyncio", "kombu", "celery.bootsteps", "celery.utils.functional", "urllib3")
# What of `extra=` goes into a line. Others' are left out: Celery's hold the arguments of tasks.
_EXTRA = ("operation_id", "method", "route", "status", "duration")
_LONGEST_CHAIN = 10
_CREDENTIALS = re.compile(r"(://)[^\s/@:]*:[^\s@]*@")


def configure(
    level: str = "info", form: Form = "auto", add: Sequence[Processor] = (), send: Send | None = None
) -> None:
    """Write everything at `level` and above to standard error, instead of what was set up before.

    form: `auto` is text on a terminal and JSON elsewhere. add: more for each line. send: told of each line as well,
    its record and its fields, the message as `event`; from them is left out what may not be shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(_chosen(form), [*add, *([] if send is None else [_sending(send)])]))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))


def about(operation_id: str) -> None:
    """From now on, lines of this task or request are about this operation."""
    contextvars.bind_contextvars(operation_id=operation_id)


def _chosen(form: Form) -> Form:
    if form != "auto":
        return form
    return "text" if sys.stderr.isatty() else "json"


def _formatter(form: Form, add: Sequence[Processor]) -> logging.Formatter:
    every: list[Processor] = [
        processors.TimeStamper("iso", key="time"),
        stdlib.add_log_level,
        stdlib.add_logger_name,
        contextvars.merge_contextvars,
        stdlib.ExtraAdder(allow=_EXTRA),
        *add,
    ]
    last = [stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form), _without_credentials]
    return stdlib.ProcessorFormatter(foreign_pre_chain=every, processors=last)


def _sending(send: Send) -> Processor:
    with_traceback = processors.ExceptionRenderer(_traceback)

    def sending(logger: Any, method: str, event: EventDict) -> EventDict:
        fields = with_traceback(logger, method, dict(event))
        send(event["_record"], {name: _shown(value) for name, value in fields.items() if name[0] != "_"})
        return event

    return sending


def _rendering(form: Form) -> list[Processor]:
    if form == "text":
        return [
            dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=_show,
                timestamp_key="time",
                pad_event_to=0,
            )
        ]
    return [
        processors.ExceptionRenderer(_traceback),
        processors.EventRenamer("message"),
        processors.JSONRenderer(ensure_ascii=False),
    ]


def _show(stream: TextIO, exc_info: ExcInfo) -> None:
    stream.write("\n" + _traceback(exc_info))


def _traceback(exc_info: ExcInfo) -> str:
    """As Python shows it, but no variables, and of each error the first line only.

    Drivers show the row that was not taken in the lines behind it.
    """
    parts: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None and len(parts) < _LONGEST_CHAIN:
        what = traceback.format_exception_only(error)[-1].partition("\n")[0]
        parts.append("".join(["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__), what]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nbecause of\n\n".join(parts)


def _without_credentials(_logger: Any, _method: str, line: Any) -> Any:
    return _shown(line)


def _shown(value: Any) -> Any:
    """Without credentials: drivers and brokers like to name the URL that they cannot reach."""
    return _CREDENTIALS.sub(r"\1***@", value) if isinstance(value, str) else value
