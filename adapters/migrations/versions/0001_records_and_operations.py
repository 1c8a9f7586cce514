"""Records, and the operations that were applied to them.

Keys are compared byte by byte, which for UTF-8 is by code point, whatever the database's locale is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "records",
        sa.Column("collection", _key(), primary_key=True),
        sa.Column("id", _key(), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("data", JSONB, comment="NULL: deleted; the row stays so that versions go on"),
        sa.Column("created_at", _time(), nullable=False),
        sa.Column("updated_at", _time(), nullable=False),
        sa.Column("ungated_at", _time(), comment="accepted_at of the last write that passed without the gate"),
    )
    op.create_table(
        "operations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("fingerprint", _key(), nullable=False),
        sa.Column("effect", sa.Text, comment="NULL: refused, see problem"),
        sa.Column("version", sa.BigInteger),
        sa.Column("data", JSONB, comment="after a merge; other operations bring it along when they are repeated"),
        sa.Column("created_at", _time()),
        sa.Column("updated_at", _time()),
        sa.Column("ungated_at", _time()),
        sa.Column("problem", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("applied_at", _time(), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("operations_applied_at", "operations", ["applied_at"])


def _key() -> sa.Text:
    return sa.Text(collation="C")


def _time() -> sa.DateTime:
    return sa.DateTime(timezone=True)
