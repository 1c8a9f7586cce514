"""What the library's own errors carry, also to another process."""

from __future__ import annotations

import pickle

import pytest

from holdfast.errors import Abandoned, BulkheadFull, CircuitOpen, Overloaded, RateLimited, Rejected, TimedOut


@pytest.mark.parametrize("kind", [CircuitOpen, BulkheadFull, RateLimited, Overloaded])
def test_a_refusal_says_why_and_when_to_come_back_in_any_process(kind: type[Rejected]) -> None:
    refusal = pickle.loads(pickle.dumps(kind("the store is resting", retry_after=1.25)))
    assert type(refusal) is kind
    assert (str(refusal), refusal.retry_after) == ("the store is resting; retry in 1.25 s", 1.25)


@pytest.mark.parametrize("kind", [TimedOut, Abandoned])
def test_running_out_of_time_is_a_timeout_error_to_code_that_does_not_know_us(kind: type[Exception]) -> None:
    with pytest.raises(TimeoutError, match="not done"):
        raise kind("not done in 1 s")
