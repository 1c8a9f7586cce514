"""Without any one of the engine's safeguards a guarantee breaks, and the checker sees it; with all of them none does.

A checker that has not caught its mutant is not evidence.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from chaos.checker import Violation, check
from chaos.history import Event, encode
from tests.support.flaws import FLAWS
from tests.support.parts import Parts
from tests.support.rehearsal import SETTLE_WITHIN, Rehearsal

CLEAN = 12
TRIES = 24


def history(seed: int, parts: Parts | None = None) -> list[Event]:
    return asyncio.run(Rehearsal(seed, parts).run())


def violations(events: list[Event]) -> list[Violation]:
    """The ledger is away at times: a held write may give way to a direct one, and that be refused for want of it."""
    return check(events, settle_within=SETTLE_WITHIN, allow={"superseded", "unjust"})


@pytest.mark.parametrize("seed", range(CLEAN))
def test_with_every_safeguard_in_place_nothing_is_found(seed: int) -> None:
    events = history(seed)
    assert [str(each) for each in violations(events)] == []
    statuses = {json.loads(encode(event)).get("status") for event in events}
    assert {200, 202, 503} <= statuses, "a day on which nothing went wrong proves nothing"


@pytest.mark.parametrize("safeguard", FLAWS)
def test_the_checker_sees_what_is_missing(safeguard: str) -> None:
    parts, rules = FLAWS[safeguard]
    assert any(rules & {each.rule for each in violations(history(seed, parts))} for seed in range(TRIES))


def test_a_seed_is_the_same_day_each_time() -> None:
    assert history(7) == history(7)
