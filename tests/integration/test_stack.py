"""The shared fixtures themselves: a record goes through the broker, a row through the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

if TYPE_CHECKING:
    from infra.settings import Settings
    from tests.stack import Stack


async def test_broker_commits_transactions(settings: Settings) -> None:
    topic = f"{settings.topic_prefix}.events"
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, transactional_id=settings.topic_prefix)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"value", key=b"key")
    await producer.stop()

    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()

    assert (record.key, record.value) == (b"key", b"value")


def test_databases_are_apart(stack: Stack, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table things (id int)")
    with stack.fresh_database() as other, psycopg.connect(other) as connection:
        assert connection.execute("select to_regclass('things')").fetchone() == (None,)
