"""The statements. Rows go in as JSON documents, which cost the client a fraction of what arrays do."""

from __future__ import annotations


def _seconds(*columns: str) -> str:
    return ", ".join(f"CAST(extract(epoch FROM {column}) AS float8)" for column in columns)


_RECORD = f"r.collection, r.id, r.version, r.data, {_seconds('r.created_at', 'r.updated_at', 'r.ungated_at')}"
_TIMES = "to_timestamp(created_at), to_timestamp(updated_at), to_timestamp(ungated_at)"

# A lookup by key, one at a time and by the index, whatever the planner believes of the table: OFFSET 0 keeps it from
# being joined in any other way, which a plan made while the table was small would stick to while it grows.
_RECORDS = """
FROM json_to_recordset(CAST(%(keys)s AS json)) AS k (collection text, id text)
CROSS JOIN LATERAL (SELECT * FROM records WHERE collection = k.collection AND id = k.id OFFSET 0) AS r
"""

READ = f"SELECT {_RECORD} {_RECORDS}"

# Both parts see one snapshot: an operation that is not known has not touched the record as it is read here.
LOOK = f"""
SELECT k.id, NULL, o.version, o.data, {_seconds("o.created_at", "o.updated_at", "o.ungated_at")},
       o.fingerprint, o.effect, o.problem, o.detail
FROM json_array_elements_text(CAST(%(ids)s AS json)) AS k (id)
CROSS JOIN LATERAL (SELECT * FROM operations WHERE id = CAST(k.id AS uuid) OFFSET 0) AS o
UNION ALL
SELECT {_RECORD}, NULL, NULL, NULL, NULL {_RECORDS}
"""  # noqa: S608

# What a replica has is at least as new as this, once it is read after it. NULL where there is no telling.
REPLAYED = """
SELECT CAST(extract(epoch FROM CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END) AS float8)
"""

PAGE = f"""
SELECT {_RECORD} FROM records r
WHERE r.collection = %(collection)s AND r.id > %(after)s AND r.data IS NOT NULL ORDER BY r.id LIMIT %(limit)s
"""  # noqa: S608

FIRST_PAGE = f"""
SELECT {_RECORD} FROM records r
WHERE r.collection = %(collection)s AND r.data IS NOT NULL ORDER BY r.id LIMIT %(limit)s
"""  # noqa: S608

# A record that somebody else is changing is left out: it will have moved on from the version planned on, and waiting
# for it means waiting for all who change it next. A record left out takes its operations with it; an operation's id
# that is there already (23505) undoes everything. Only others who add the same are waited for: first records and last
# operations, each in the order of their keys, so that two batches wait for each other in one direction only.
WRITE = f"""
WITH added AS (
  INSERT INTO records (collection, id, version, data, created_at, updated_at, ungated_at)
  SELECT collection, id, version, data, {_TIMES} FROM json_to_recordset(CAST(%(added)s AS json))
    AS w (collection text, id text, version bigint, data jsonb,
          created_at float8, updated_at float8, ungated_at float8)
  WHERE NOT EXISTS (SELECT FROM records r WHERE r.collection = w.collection AND r.id = w.id OFFSET 0)
  ORDER BY collection, id ON CONFLICT (collection, id) DO NOTHING
  RETURNING collection, id
), locked AS MATERIALIZED (
  SELECT w.*, r.place FROM json_to_recordset(CAST(%(changed)s AS json))
    AS w (collection text, id text, base bigint, version bigint, data jsonb,
          created_at float8, updated_at float8, ungated_at float8)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM records
    WHERE collection = w.collection AND id = w.id AND version = w.base FOR NO KEY UPDATE SKIP LOCKED
  ) AS r
  WHERE (SELECT count(*) FROM added) >= 0
), changed AS (
  UPDATE records r
  SET version = l.version, data = l.data, created_at = to_timestamp(l.created_at),
      updated_at = to_timestamp(l.updated_at), ungated_at = to_timestamp(l.ungated_at)
  FROM locked l WHERE r.ctid = l.place
  RETURNING r.collection, r.id
), landed AS MATERIALIZED (
  SELECT * FROM changed UNION ALL SELECT * FROM added
), remembered AS (
  INSERT INTO operations (id, fingerprint, effect, version, data, created_at, updated_at, ungated_at, problem, detail)
  SELECT o.id, fingerprint, effect, version, data, {_TIMES}, problem, detail
  FROM json_to_recordset(CAST(%(operations)s AS json))
    AS o (id uuid, collection text, record text, fingerprint text, effect text, version bigint, data jsonb,
          created_at float8, updated_at float8, ungated_at float8, problem text, detail text)
  WHERE collection IS NULL OR (collection, record) IN (SELECT l.collection, l.id FROM landed l)
  ORDER BY o.id
)
SELECT collection, id FROM landed
"""  # noqa: S608

PRUNE = """
WITH gone AS (
  DELETE FROM operations WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM operations WHERE applied_at < to_timestamp(CAST(%(before)s AS float8))
    ORDER BY applied_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
  RETURNING 1
)
SELECT count(*) FROM gone
"""

PING = """
SELECT current_setting('transaction_read_only')
WHERE NOT EXISTS (SELECT FROM records WHERE false) AND NOT EXISTS (SELECT FROM operations WHERE false)
"""
