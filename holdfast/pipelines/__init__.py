"""Pipelines from a configuration: read with precise errors, looked over for orders that go wrong, changed while in use.

>>> pipelines = Pipelines({"pipelines": {"store": [{"policy": "retry", "attempts": 3}, {"policy": "breaker"}]}})
>>> pipelines["store"].call(abs, -1)
1
>>> pipelines.reload({"pipelines": {"store": [{"policy": "retry", "attempts": 5}, {"policy": "breaker"}]}})
['store.retry']
"""

from .advice import Advice, advise
from .configuration import Configuration, ConfigurationError, Step
from .registry import Pipelines

__all__ = ["Advice", "Configuration", "ConfigurationError", "Pipelines", "Step", "advise"]
