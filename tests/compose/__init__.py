"""The compose file tried for real: `python -m tests.compose`, or `make compose-smoke`."""
