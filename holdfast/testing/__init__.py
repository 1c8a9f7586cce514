"""Fakes, and the behavioural suites that every adapter must pass. Imported by tests only."""
