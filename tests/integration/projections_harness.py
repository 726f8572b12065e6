"""A log on a real broker, projectors that read it, and the check that each record counted once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.kafka.log_reader import open_log
from infra.kafka.topics import topics_of
from infra.postgres.engine import create_engine
from projections.projector import Projector
from projections.verify import compare_many
from tests.projections.histories import folded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from infra.kafka.log_reader import LogRecord
    from infra.settings import Settings
    from tests.sample_log import SampleLog

DEADLINE_S = 60.0
_ABORTED = b'{"order_id":"never"}'


async def publish(settings: Settings, records: Sequence[Any], *, size: int = 40) -> None:
    """Write records in transactions, each after one that is aborted: nobody may ever see those."""
    topic = topics_of(settings).events
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=f"{settings.topic_prefix}-test"
    )
    await producer.start()
    try:
        for start in range(0, len(records), size):
            some = records[start : start + size]
            await producer.begin_transaction()
            await producer.send_and_wait(topic, key=b"aborted", value=_ABORTED, partition=some[0].partition)
            await producer.abort_transaction()
            async with producer.transaction():
                for record in some:
                    await producer.send(
                        topic,
                        key=record.key,
                        value=record.value,
                        partition=record.partition,
                        headers=list(record.headers),
                    )
    finally:
        await producer.stop()


@asynccontextmanager
async def projecting(settings: Settings, **options: Any) -> AsyncIterator[Projector]:
    """A projector in this process; it must end well."""
    projector = Projector(settings, **options)
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        projector.stop()
        async with asyncio.timeout(DEADLINE_S):
            await task


def projector_process(settings: Settings, worker_id: str = "0") -> subprocess.Popen[bytes]:
    """A projector as `billing up` starts it."""
    environment = {
        **os.environ,
        "BILLING_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "BILLING_TOPIC_PREFIX": settings.topic_prefix,
        "BILLING_PARTITIONS": str(settings.partitions),
        "BILLING_DATABASE_URL": settings.database_url,
        "BILLING_DATA_DIR": str(settings.data_dir),
        "BILLING_WORKER_ID": worker_id,
    }
    return subprocess.Popen([sys.executable, "-m", "cli.main", "projector"], env=environment)


async def until(condition: Callable[[], Awaitable[bool]], *, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def caught_up(settings: Settings) -> None:
    """Wait until every partition of the log is projected to its end, markers included."""
    topic = topics_of(settings).events
    async with open_log(settings.kafka_bootstrap, topic) as log:
        ends = await log.end_offsets()

    async def at_the_end() -> bool:
        return positions(settings.database_url, topic) == ends

    await until(at_the_end)


async def ended(settings: Settings) -> None:
    """Wait until the broker has told every partition of the log how its last transaction ended.

    One that is killed before may never do so; what becomes of that is the engine's, and is tested with it.
    """
    topic = topics_of(settings).events
    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
    consumers = [
        AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, isolation_level=level)
        for level in ("read_uncommitted", "read_committed")
    ]
    try:
        for consumer in consumers:
            await consumer.start()
        written, committed = consumers

        async def nothing_is_open() -> bool:
            return bool(await written.end_offsets(partitions) == await committed.end_offsets(partitions))

        await until(nothing_is_open)
    finally:
        for consumer in consumers:
            await consumer.stop()


def positions(database_url: str, topic: str) -> dict[int, int]:
    """Where the partitions stand; nothing as long as there are no tables."""
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            found = connection.execute(
                "SELECT partition, next_offset FROM billing.positions WHERE topic = %s", (topic,)
            ).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
        return {}
    return dict(found)


async def assert_each_counted_once(settings: Settings, log: SampleLog, records: Sequence[LogRecord]) -> None:
    """The tables are the fold, and every history has one line for each event that belongs there."""
    engine = create_engine(settings.database_url, pool_size=1)
    async with engine.connect() as connection:
        differences = await compare_many(connection, log.accounts)
    await engine.dispose()
    assert {account: found for account, found in differences.items() if found} == {}
    batch = folded(records)
    with psycopg.connect(settings.database_url) as plain:
        for table, lines in batch.lines.items():
            names = [column.name for column in table.columns]
            name = "event_id" if "event_id" in names else "id"
            found = plain.execute(f"SELECT {name} FROM billing.{table.name}".encode()).fetchall()
            expected = Counter(line[names.index(name)] for line in lines)
            assert Counter(event_id for (event_id,) in found) == expected, table.name
