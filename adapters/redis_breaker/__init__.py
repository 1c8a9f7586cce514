"""A circuit breaker whose state many processes share, in Redis or Valkey."""

from .breaker import RedisBreaker

__all__ = ["RedisBreaker"]
