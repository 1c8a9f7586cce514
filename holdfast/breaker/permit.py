"""A breaker's permission to make one call, for callers who do not hand it the function to call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from .options import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    Settle = Callable[[Verdict, BaseException | None], None]


class Permit:
    """Permission to make one call, to be settled by saying how that went. Only the first word counts.

    As a context manager it is settled by how its block ends, as the breaker's own calls are.

    >>> from holdfast.breaker import CircuitBreaker
    >>> permit: Permit = CircuitBreaker("store").acquire()
    >>> with permit:
    ...     1 + 1
    2
    """

    __slots__ = ("_settle", "_verdict")

    def __init__(self, settle: Settle, verdict: Callable[[BaseException], Verdict]) -> None:
        self._settle: Settle | None = settle
        self._verdict = verdict

    def success(self) -> None:
        """The call went well."""
        self._end(Verdict.SUCCESS)

    def failure(self, error: BaseException | None = None) -> None:
        """The call failed; the error is described in snapshots."""
        self._end(Verdict.FAILURE, error)

    def release(self) -> None:
        """The call was not made, or says nothing."""
        self._end(Verdict.IGNORE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._end(self._verdict(error) if error else Verdict.SUCCESS, error)

    def _end(self, verdict: Verdict, error: BaseException | None = None) -> None:
        settle, self._settle = self._settle, None
        if settle:
            settle(verdict, error)
