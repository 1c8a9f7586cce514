"""What every test may ask for."""

import pytest

# The suites that adapters must pass show what differs, as tests of our own do.
pytest.register_assert_rewrite("holdfast.testing.conformance")

pytest_plugins = ["tests.support.servers", "tests.support.mongo"]
