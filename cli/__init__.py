"""The `holdfast` command: sees the system from outside only."""
