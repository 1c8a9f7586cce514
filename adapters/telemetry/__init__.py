"""Traces over OTLP, by OpenTelemetry: off, and not even imported, unless the environment names an endpoint."""

from .switch import Telemetry, Traced, log_processors, telemetry_of, untraced

__all__ = ["Telemetry", "Traced", "log_processors", "telemetry_of", "untraced"]
