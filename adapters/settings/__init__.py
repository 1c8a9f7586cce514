"""Settings from the environment: typed, documented in one place, checked before anything starts."""

from .load import SettingsError, load, load_or_exit
from .model import BreakerSettings, Settings

__all__ = ["BreakerSettings", "Settings", "SettingsError", "load", "load_or_exit"]
