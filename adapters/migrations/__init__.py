"""The schema's history, for Alembic. `python -m adapters.migrate` applies it."""
