"""What the database itself decides: its limits, and the rules that its owner has added."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import psycopg
import pytest

from adapters.migrate import migrate
from adapters.postgres_store import PostgresOptions, PostgresStore, statements
from adapters.postgres_store.options import connect_parameters
from holdfast.errors import Unavailable
from holdfast.operations.model import Applied, Fault, ProblemType, Refused, Resource, Result
from tests.support.stores import create, merge, postgres_store


@pytest.fixture
async def store(empty_postgres_url: str) -> AsyncIterator[PostgresStore]:
    """In a database of its own, whose tables may be altered."""
    migrate(empty_postgres_url)
    async with postgres_store(empty_postgres_url) as store:
        yield store


def alter(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def problems(results: list[Result]) -> list[str | None]:
    return [result.problem.type if isinstance(result, Refused) else None for result in results]


@pytest.mark.parametrize("rows", [0, 1, 100])
@pytest.mark.parametrize("name", ["LOOK", "READ", "PAGE", "FIRST_PAGE", "WRITE", "PRUNE", "PING"])
def test_every_statement_goes_by_the_indexes_however_small_the_tables_were_when_it_was_planned(
    empty_postgres_url: str, name: str, rows: int
) -> None:
    migrate(empty_postgres_url)
    fill(empty_postgres_url, rows)
    plan = explain(empty_postgres_url, getattr(statements, name))
    assert "Seq Scan" not in plan
    assert "Join Filter" not in plan
    assert "Materialize" not in plan
    assert plan.count("Cond:") == plan.count("Index Scan") + plan.count("Index Only Scan") + plan.count("Tid Scan")


def fill(url: str, rows: int) -> None:
    """And tell the planner of it, if there is something to tell."""
    alter(
        url,
        f"""INSERT INTO records SELECT 'notes', n::text, 1, '{{}}', now(), now() FROM generate_series(1, {rows}) n;
            INSERT INTO operations (id, fingerprint) SELECT gen_random_uuid(), 'f' FROM generate_series(1, {rows})""",
    )
    if rows:
        alter(url, "ANALYZE")


def explain(url: str, statement: str) -> str:
    """As planned on a connection of the store."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement)
    with psycopg.connect(**connect_parameters(PostgresOptions(url))) as connection:
        lines = connection.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}".encode(), prepare=False)
        return "\n".join(line for (line,) in lines)


@pytest.mark.parametrize(
    "rule",
    [
        "ALTER TABLE records ADD CHECK ((data->>'n')::int < 10)",
        "CREATE UNIQUE INDEX ON records ((data->>'n')) WHERE (data->>'n')::int >= 10",
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF (NEW.data->>'n')::int >= 10 THEN RAISE 'too many'; END IF; RETURN NEW; END $$;
           CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON records FOR EACH ROW EXECUTE FUNCTION refuse()""",
    ],
    ids=["check", "unique index", "trigger"],
)
async def test_what_breaks_a_rule_of_the_application_is_refused_alone(
    store: PostgresStore, empty_postgres_url: str, rule: str
) -> None:
    await store.apply([create("0", {"n": "1"}), create("9", {"n": "2"})])
    if "UNIQUE" in rule:
        await store.apply([create("8", {"n": "10"})])
    alter(empty_postgres_url, rule)
    bad = create("1", {"n": "10"})
    results = await store.apply([merge("0", {"n": "3"}), bad, merge("9", {"n": "10"}), create("2", {"n": "4"})])
    assert problems(results) == [None, ProblemType.UNSTORABLE, ProblemType.UNSTORABLE, None]
    assert problems(await store.apply([bad])) == [ProblemType.UNSTORABLE]


async def test_what_is_too_large_for_the_database_is_refused_alone(store: PostgresStore) -> None:
    varied = "".join(chr(0x4E00 + n) for n in range(3000))
    too_long = create(varied)
    too_deep = create("deep", _nested(5_000))
    too_many_digits = create("digits", {"n": 10**5_000})
    deep, digits = create("less deep", _nested(500)), create("fewer digits", {"n": 10**4_000})
    results = await store.apply([too_long, deep, too_deep, digits, too_many_digits])
    unstorable = ProblemType.UNSTORABLE
    assert problems(results) == [unstorable, None, unstorable, None, unstorable]
    assert [record and record.data for record in await store.read([deep.resource, digits.resource])] == [
        deep.payload,
        digits.payload,
    ]


async def test_a_batch_too_large_for_one_statement_is_applied_in_several(postgres_url: str) -> None:
    text = "x" * 3_000_000
    async with postgres_store(postgres_url) as store:
        results = await store.apply([*(create(f"{n}", {"text": text}) for n in range(4)), merge("0", {"n": 1})])
    assert [isinstance(result, Applied) and result.record.version for result in results] == [1, 1, 1, 1, 2]
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute("SELECT count(DISTINCT applied_at), count(*) FROM operations").fetchone()
    assert found is not None
    assert found[0] > 1
    assert found[1] == 5


async def test_an_operation_that_cannot_even_be_remembered_costs_nobody_else(store: PostgresStore) -> None:
    one, bad, other = create("1"), create("2", id="not a UUID"), create("3")
    results = await store.apply([one, bad, other])
    assert [type(result) for result in results] == [Applied, Fault, Applied]


async def test_an_id_that_the_database_cannot_hold_is_not_there(store: PostgresStore) -> None:
    await store.apply([create("a")])
    there, *rest = await store.read(
        [Resource("notes", "a"), Resource("notes", "\x00"), Resource("\ud800", "a"), Resource("notes", "b")]
    )
    assert there is not None
    assert rest == [None] * 3
    for collection in ("\x00", "\ud800"):
        assert await store.page(collection, after=None, limit=1) == []


async def test_a_statement_that_takes_too_long_has_not_happened(store: PostgresStore, empty_postgres_url: str) -> None:
    alter(
        empty_postgres_url,
        """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); END $$;
           CREATE TRIGGER slow BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION slow()""",
    )
    one = create("a")
    async with postgres_store(empty_postgres_url, statement_timeout=0.5, lock_timeout=0.5) as hasty:
        with pytest.raises(Unavailable):
            await hasty.apply([one])
    assert await store.read([one.resource]) == [None]
    alter(empty_postgres_url, "DROP TRIGGER slow ON operations")
    (applied,) = await store.apply([one])
    assert isinstance(applied, Applied)
    assert not applied.replayed


def _nested(depth: int) -> dict[str, object]:
    data: dict[str, object] = {}
    for _ in range(depth):
        data = {"a": data}
    return data
