"""What an error of the driver means, for each kind that it can raise."""

from __future__ import annotations

import psycopg
import pytest

from adapters.postgres_store import errors
from holdfast.errors import OutcomeUnknown, Unavailable


def seen(cause: psycopg.Error, *, gone: bool = False) -> Exception:
    """What is made of it when a statement raises it. gone: the connection is lost."""
    return errors.translate(cause, lost=gone)


def of_state(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("told by the server")


@pytest.mark.parametrize(
    "state",
    ["08006", "08007", "08003", "57P01", "57P02", "57P03", "57P05", "40003"],
)
def test_an_answer_that_leaves_the_end_open_is_unknown(state: str) -> None:
    assert isinstance(seen(of_state(state)), OutcomeUnknown)


@pytest.mark.parametrize(
    "cause", [psycopg.OperationalError("server closed the connection"), psycopg.InterfaceError("closed")]
)
def test_no_answer_at_all_is_unknown(cause: psycopg.Error) -> None:
    assert isinstance(seen(cause), OutcomeUnknown)


@pytest.mark.parametrize("state", ["57014", "53300", "40001", "22P05", "42601"])
def test_any_answer_on_a_connection_that_is_lost_since_is_unknown(state: str) -> None:
    assert isinstance(seen(of_state(state), gone=True), OutcomeUnknown)


@pytest.mark.parametrize(
    "state",
    [
        "25006", "28000", "28P01", "3D000", "3F000", "42501", "42703", "42P01", "53000", "53100", "53200", "53300",
        "55006", "55P03", "57014", "58000", "58030", "F0000", "XX000", "XX001",
    ],
)  # fmt: skip
def test_a_server_in_trouble_is_unavailable_and_nothing_has_happened(state: str) -> None:
    assert isinstance(seen(of_state(state)), Unavailable)


@pytest.mark.parametrize("state", ["42703", "42P01"])
def test_a_schema_that_is_missing_or_old_says_what_to_run(state: str) -> None:
    assert str(seen(of_state(state))).endswith("run `python -m adapters.migrate`")


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_conflict_with_others_is_to_be_planned_again(state: str) -> None:
    error = seen(of_state(state))
    assert errors.outrun(error)
    assert not errors.unstorable(error)


@pytest.mark.parametrize(
    "state",
    [
        "22P05",
        "22003",
        "22021",
        "22P02",
        "22008",
        "23514",
        "23502",
        "23503",
        "23505",
        "23P01",
        "44000",
        "54000",
        "P0001",
    ],
)
def test_what_the_server_says_of_the_data_is_definite(state: str) -> None:
    error = seen(of_state(state))
    assert errors.unstorable(error)
    assert not errors.outrun(error)


@pytest.mark.parametrize("state", ["42601", "42883", "0A000", "21000"])
def test_a_bug_of_ours_is_neither_the_servers_trouble_nor_the_datas(state: str) -> None:
    cause = of_state(state)
    error = seen(cause)
    assert error is cause
    assert not errors.unstorable(error)
    assert not errors.outrun(error)


def test_a_description_holds_the_code_and_none_of_the_data() -> None:
    text = errors.describe(psycopg.errors.UniqueViolation("duplicate key\nDETAIL:  Key (id)=(secret) exists"))
    assert text == "PostgreSQL: duplicate key (23505)"
