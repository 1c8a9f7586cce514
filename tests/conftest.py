"""What every test may ask for."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or is looked for, says how busy the machine is.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# The suites that adapters must pass show what differs, as tests of our own do.
pytest.register_assert_rewrite("holdfast.testing.conformance")

pytest_plugins = ["tests.support.servers", "tests.support.mongo"]
