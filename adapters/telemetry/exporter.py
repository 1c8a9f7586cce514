"""The way to the collector, which tells a change of its state instead of every try."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)


class TellingExporter(SpanExporter):
    """Sends through another."""

    def __init__(self, exporter: SpanExporter) -> None:
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._exporter = exporter
        self._well = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        well = result is SpanExportResult.SUCCESS
        if well != self._well:
            log.info("the collector takes spans again") if well else log.warning("the collector takes no spans")
        self._well = well
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
