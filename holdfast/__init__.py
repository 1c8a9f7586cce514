"""Holdfast: durable writes and resilience patterns, standard library only."""
