"""`billing setup`: tables and topics, before the first role starts; any number of callers, any number of times."""

from __future__ import annotations

import asyncio
import time

import typer

from cli.common import DataDirOption, UsageError, settings_of_stack
from infra.logging import configure_logging
from infra.settings import Settings

_BROKER_PATIENCE_S = 60.0
_RETRY_DELAY_S = 0.5


def setup(data_dir: DataDirOption = None) -> None:
    """Create the tables and the topics; waits a minute for broker and database."""
    settings = settings_of_stack(data_dir)
    configure_logging(level=settings.log_level, format=settings.log_format, role="setup")
    create_tables_and_topics(settings)
    typer.echo("tables and topics are there")


def create_tables_and_topics(settings: Settings) -> None:
    """Bring database and broker to what the roles expect.

    Raises WrongTopicError where a topic has another number of partitions, UsageError where a server stays away, or has
    tables of a newer version.
    """
    from aiokafka.errors import KafkaError
    from alembic.util.exc import CommandError
    from sqlalchemy.exc import OperationalError

    from infra.kafka.topics import create_topics, topics_of
    from infra.logging import redact_text
    from infra.postgres.migrations import upgrade

    try:
        upgrade(settings.database_url)
    except OperationalError as error:
        raise UsageError(f"the database does not answer: {redact_text(str(error.orig)).strip()}") from error
    except CommandError as error:
        raise UsageError(f"the tables are of a newer version of the product: {error}") from error
    deadline = time.monotonic() + _BROKER_PATIENCE_S
    while True:
        try:
            asyncio.run(
                create_topics(
                    settings.kafka_bootstrap,
                    topics_of(settings),
                    partitions=settings.partitions,
                    replication_factor=settings.kafka_replication_factor,
                )
            )
        except KafkaError as error:
            if time.monotonic() > deadline:
                raise UsageError(f"the broker at {settings.kafka_bootstrap}: {error}") from error
            time.sleep(_RETRY_DELAY_S)
        else:
            return
