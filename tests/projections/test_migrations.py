"""The migrations build what the read models say, whoever calls them and however often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from cli.common import UsageError
from cli.setup import create_tables_and_topics
from infra.postgres.engine import sqlalchemy_url
from infra.postgres.migrations import configuration, upgrade
from infra.settings import Settings
from projections.fold import READ_MODELS
from projections.model import metadata
from projections.positions import positions

if TYPE_CHECKING:
    from infra.embedded.postgres import EmbeddedPostgres


def test_the_tables_are_those_of_the_read_models(migrated_url: str) -> None:
    assert {model.table.name for model in READ_MODELS} | {positions.name} < {
        table.name for table in metadata.tables.values()
    }
    engine = create_engine(sqlalchemy_url(migrated_url))
    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _parents: kind != "schema" or name == "billing",
            "include_object": lambda _object, name, _kind, _reflected, _compared: name != "migrations",
            "compare_server_default": True,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_many_at_once_migrate_once(database_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(upgrade, database_url) for _ in range(6)]:
            done.result()
    with psycopg.connect(database_url) as connection:
        assert len(connection.execute("SELECT * FROM billing.migrations").fetchall()) == 1


def test_tables_of_a_newer_version_are_left_alone(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute("UPDATE billing.migrations SET version_num = 'r9999'")
    settings = Settings(_env_file=None, database_url=migrated_url, kafka_bootstrap="127.0.0.1:1")
    with pytest.raises(UsageError, match="newer version"):
        create_tables_and_topics(settings)


def test_down_and_up_again(migrated_url: str) -> None:
    engine = create_engine(sqlalchemy_url(migrated_url))
    with engine.connect() as connection:
        command.downgrade(configuration(connection), "base")
        connection.commit()
    engine.dispose()
    with psycopg.connect(migrated_url) as connection:
        left = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'billing'").fetchall()
        assert left == [("migrations",)]
    upgrade(migrated_url)


def test_an_absent_database_is_waited_for_within_a_bound(private_postgres: EmbeddedPostgres) -> None:
    private_postgres.kill()
    with pytest.raises(OperationalError):
        upgrade(private_postgres.url, patience_s=0.5)
    private_postgres.start()
    upgrade(private_postgres.url)
