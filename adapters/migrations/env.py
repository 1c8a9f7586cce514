"""Alembic's entry: migrates on the connection that `adapters.migrate` hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="holdfast_version")
context.run_migrations()
