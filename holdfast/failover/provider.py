"""One implementation of what is asked for, its name, and the policies that guard it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..breaker import CircuitBreaker, Snapshot, State
from ..policy import Policy

C_co = TypeVar("C_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Provider(Generic[C_co]):
    """An implementation of the contract C: an object whose methods are its operations, or a plain function.

    name:     unique in a failover; if not given, the implementation's own `name`, `__name__` or class name.
    policy:   guards each call: retry, breaker, timeout, rate limit, composed with `holdfast.policy.compose`.
    policies: in its place for single methods, by name; None leaves a method without any.

    >>> Provider(len).name
    'len'
    """

    implementation: C_co
    name: str = ""
    policy: Policy | None = None
    policies: Mapping[str, Policy | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", _name_of(self.implementation))

    def policy_of(self, method: str) -> Policy | None:
        return self.policies.get(method, self.policy)

    def breakers(self) -> dict[str, Snapshot]:
        """The breakers within its policies, by name, as they are now."""
        policies = (self.policy, *self.policies.values())
        return {breaker.name: breaker.snapshot() for policy in policies for breaker in _breakers(policy)}


def shut_breaker(policy: Policy | None) -> Snapshot | None:
    """The first breaker within the policy that lets nothing through, if any."""
    for breaker in _breakers(policy):
        if breaker.state in (State.OPEN, State.ISOLATED):
            return breaker.snapshot()
    return None


def _breakers(policy: Policy | None) -> Iterator[CircuitBreaker]:
    if isinstance(policy, CircuitBreaker):
        yield policy
    else:
        # A pipeline, or one that follows a configuration.
        for part in getattr(policy, "policies", ()):
            yield from _breakers(part)


def _name_of(implementation: object) -> str:
    for attribute in ("name", "__name__"):
        name = getattr(implementation, attribute, None)
        if isinstance(name, str) and name:
            return name
    return type(implementation).__name__
