"""Run by alembic for each command. The connection is handed in by `infra.postgres.migrations`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from infra.postgres.migrations.steps import SCHEMA, VERSION_TABLE

connection = context.config.attributes["connection"]
connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
context.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=SCHEMA)
with context.begin_transaction():
    context.run_migrations()
