"""The projector against its limits: the same rows by bare COPY, and the same log read by a bare consumer.

`python -m tests.bench.bench_projector` runs it alone. Everything is real: broker, database, one `billing projector`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.kafka.log_reader import open_log
from infra.kafka.topics import Topics, create_topics
from infra.postgres.migrations import upgrade
from projections.positions import PositionWatcher
from tests.sample_log import PARTITIONS, SampleLog
from tests.stack import Stack, shared_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.kafka.log_reader import LogRecord

PURCHASES = 6_000
"""Of 10 or 11 events each: an order, its payment and what it gives, and the outcomes of three commands."""
LATENCY_SAMPLES = 200
DEADLINE_S = 120.0
TRANSACTION_RECORDS = 2_000


def run(stack: Stack, *, purchases: int = PURCHASES) -> dict[str, Any]:
    """Measure, print, and return the figures."""
    topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
    log = SampleLog()
    for number in range(purchases):
        log.buy(f"account-{number}", "premium:month" if number % 2 else "solaris:eur")
    with stack.fresh_database() as database_url, tempfile.TemporaryDirectory() as data_dir:
        upgrade(database_url)
        ends = asyncio.run(_fill(stack, topics, log.records))
        reading_s = asyncio.run(_read_bare(stack, topics, len(log.records)))
        projector = _projector(stack, topics, database_url, Path(data_dir))
        try:
            events_s, cpu_us = asyncio.run(_measure_throughput(projector, topics, database_url, ends))
            latencies_ms = asyncio.run(_measure_latency(stack, topics, database_url))
            memory_mib = psutil.Process(projector.pid).memory_info().rss / 2**20
        finally:
            projector.terminate()
            projector.wait(30)
        rows, copying_s = _copy_bare(database_url)
    copied_s = len(log.records) / copying_s
    figures = {
        "events": len(log.records),
        "events_per_s": round(events_s),
        "cpu_us_per_event": round(cpu_us, 1),
        "rows": rows,
        "bare_copy_events_per_s": round(copied_s),
        "of_bare_copy": round(events_s / copied_s, 2),
        "bare_consumer_events_per_s": round(len(log.records) / reading_s),
        "idle_latency_p50_ms": round(statistics.median(latencies_ms), 1),
        "idle_latency_p99_ms": round(statistics.quantiles(latencies_ms, n=100)[98], 1),
        "memory_mib": round(memory_mib),
    }
    for name, value in figures.items():
        print(f"projector {name:28} {value:>12,}")  # noqa: T201  what a benchmark is for
    return figures


async def _fill(stack: Stack, topics: Topics, records: Sequence[LogRecord]) -> dict[int, int]:
    """Write the log in transactions, as the engine does; where its partitions end."""
    await create_topics(stack.kafka_bootstrap, topics, partitions=PARTITIONS)
    async with _producer(stack, topics) as producer:
        for start in range(0, len(records), TRANSACTION_RECORDS):
            await _append(producer, topics, records[start : start + TRANSACTION_RECORDS])
    async with open_log(stack.kafka_bootstrap, topics.events) as log:
        return await log.end_offsets()


def _producer(stack: Stack, topics: Topics) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=stack.kafka_bootstrap, transactional_id=f"{topics.prefix}-fill", max_batch_size=900_000
    )


async def _append(producer: AIOKafkaProducer, topics: Topics, records: Sequence[LogRecord]) -> None:
    async with producer.transaction():
        sent = [
            await producer.send(
                topics.events,
                key=record.key,
                value=record.value,
                partition=record.partition,
                headers=list(record.headers),
            )
            for record in records
        ]
        await asyncio.gather(*sent)


async def _read_bare(stack: Stack, topics: Topics, count: int) -> float:
    """How long it takes to read the log and do nothing with it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stack.kafka_bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topics.events, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        started, seen = time.perf_counter(), 0
        while seen < count:
            seen += sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=2_000)).values()))
        return time.perf_counter() - started
    finally:
        await consumer.stop()


def _projector(stack: Stack, topics: Topics, database_url: str, data_dir: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "BILLING_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "BILLING_TOPIC_PREFIX": topics.prefix,
        "BILLING_PARTITIONS": str(PARTITIONS),
        "BILLING_DATABASE_URL": database_url,
        "BILLING_DATA_DIR": str(data_dir),
        "BILLING_LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen([sys.executable, "-m", "cli.main", "projector"], env=environment)


async def _measure_throughput(
    projector: subprocess.Popen[bytes], topics: Topics, database_url: str, ends: dict[int, int]
) -> tuple[float, float]:
    """Events a second and CPU microseconds an event, from the first batch that is visible to the last."""
    total, process = sum(ends.values()), psutil.Process(projector.pid)
    deadline = time.monotonic() + DEADLINE_S
    async with PositionWatcher(database_url, topic=topics.events) as watcher:

        def projected() -> int:
            return sum(watcher.next_offset(partition) for partition in ends)

        while not (first := projected()):
            assert await watcher.wait_for_change(watcher.generation, deadline), "nothing was projected"
        started, cpu_before = time.perf_counter(), sum(process.cpu_times()[:2])
        while projected() < total:
            assert await watcher.wait_for_change(watcher.generation, deadline), "not all was projected"
        taken_s, cpu_s = time.perf_counter() - started, sum(process.cpu_times()[:2]) - cpu_before
    return (total - first) / taken_s, cpu_s / (total - first) * 1e6


async def _measure_latency(stack: Stack, topics: Topics, database_url: str) -> list[float]:
    """From the commit of one order's events to the moment at which another process knows that they are projected."""
    latencies_ms: list[float] = []
    log = SampleLog()
    async with PositionWatcher(database_url, topic=topics.events) as watcher, _producer(stack, topics) as producer:
        await watcher.wait_for_change(0, time.monotonic() + DEADLINE_S)
        for number in range(LATENCY_SAMPLES):
            log.records.clear()
            log.buy(f"latecomer-{number}")
            records, partition = log.records[:3], log.records[0].partition
            before = watcher.next_offset(partition)
            await _append(producer, topics, records)
            committed = time.perf_counter()
            assert await watcher.wait_for_position(partition, before + 2, time.monotonic() + DEADLINE_S)
            latencies_ms.append((time.perf_counter() - committed) * 1000)
            await asyncio.sleep(0.02)
    return latencies_ms


def _copy_bare(database_url: str) -> tuple[int, float]:
    """Copy every row that the projector wrote into empty tables with the same indexes; rows, and how long it took."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'billing' "
            "AND tablename NOT IN ('migrations', 'positions')"
        ).fetchall()
        content: dict[str, list[Any]] = {}
        connection.execute("CREATE SCHEMA bare")
        rows = 0
        for (name,) in names:
            connection.execute(f"CREATE TABLE bare.{name} (LIKE billing.{name} INCLUDING ALL)".encode())
            with connection.cursor().copy(f"COPY billing.{name} TO STDOUT".encode()) as copy:
                content[name] = list(copy)
            rows += len(content[name])
        connection.commit()
        started = time.perf_counter()
        for name, blocks in content.items():
            with connection.cursor().copy(f"COPY bare.{name} FROM STDIN".encode()) as copy:
                for block in blocks:
                    copy.write(block)
        connection.commit()
        return rows, time.perf_counter() - started


if __name__ == "__main__":
    with shared_stack() as found:
        run(found)
