"""The way to the collector, which tells a change of its state instead of every try."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)


class TellingExporter(SpanExporter):
    """Sends spans through another."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._way = _Way("spans")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self._way.tell(well=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class TellingLogExporter(LogRecordExporter):
    """Sends log lines through another."""

    def __init__(self, exporter: LogRecordExporter) -> None:
        self._exporter = exporter
        self._way = _Way("log lines")

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        result = self._exporter.export(batch)
        self._way.tell(well=result is LogRecordExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Way:
    """what: goes there, in the plural."""

    def __init__(self, what: str) -> None:
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._what = what
        self._well = True

    def tell(self, *, well: bool) -> None:
        if well != self._well:
            if well:
                log.info("the collector takes %s again", self._what)
            else:
                log.warning("the collector takes no %s", self._what)
        self._well = well
