"""Records in PostgreSQL, 14 or later: psycopg 3 in the pool of SQLAlchemy, one statement for the writes of a batch.

replicas -> store -> engine -> options; store -> batch -> queries -> statements, rows. What an error means is in errors
alone.
"""

from .options import PostgresOptions
from .replicas import PostgresReplicas
from .store import PostgresStore

__all__ = ["PostgresOptions", "PostgresReplicas", "PostgresStore"]
