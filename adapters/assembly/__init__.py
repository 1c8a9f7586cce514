"""Makes the parts of a process and wires them: the only place that knows them all."""

from .system import Dependency, Role, System
from .wiring import assemble

__all__ = ["Dependency", "Role", "System", "assemble"]
