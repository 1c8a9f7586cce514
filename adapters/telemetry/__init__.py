"""Traces and log lines over OTLP: off, and OpenTelemetry not even imported, unless the environment says where to."""

from .switch import Lines, Telemetry, Traced, lines_of, telemetry_of, untraced

__all__ = ["Lines", "Telemetry", "Traced", "lines_of", "telemetry_of", "untraced"]
