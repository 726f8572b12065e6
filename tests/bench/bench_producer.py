"""The limit of the write side: the same bytes by a bare transactional aiokafka producer, with nothing decided."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from infra.kafka.fenced_log import FencedLog
from infra.kafka.topics import Topics, create_topics
from tests.bench.made_log import PARTITIONS, MadeLog, make

if TYPE_CHECKING:
    from tests.bench.made_log import Transaction
    from tests.stack import Stack

COMMANDS = 40_000


def run(stack: Stack) -> dict[str, Any]:
    """Commands a second, record by record and in whole batches."""
    topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
    made = make(topics, COMMANDS, run="producer")
    return asyncio.run(_run(stack.kafka_bootstrap, topics, made))


async def _run(bootstrap: str, topics: Topics, made: MadeLog) -> dict[str, Any]:
    await create_topics(bootstrap, topics, partitions=PARTITIONS)
    by_record_s = await by_records(bootstrap, topics, made)
    in_batches_s = await in_batches(bootstrap, topics, made)
    return {
        "commands": made.commands,
        "records_per_command": round(sum(t.records for t in made.transactions) / made.commands, 2),
        "by_record_commands_per_s": round(made.commands / by_record_s),
        "in_batches_commands_per_s": round(made.commands / in_batches_s),
        "deciding_us_per_command": round(made.deciding_s / made.commands * 1e6, 1),
    }


async def by_records(bootstrap: str, topics: Topics, made: MadeLog) -> float:
    """One `send` a record, as one would write it down first; how many seconds."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=f"{topics.prefix}-bare", max_batch_size=900_000
    )
    await producer.start()
    try:
        begin = time.perf_counter()
        for transaction in made.transactions:
            await _send(producer, transaction)
        return time.perf_counter() - begin
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, transaction: Transaction) -> None:
    async with producer.transaction():
        sent = [
            await producer.send(
                topic, record.value, key=record.key, partition=transaction.partition, headers=record.headers
            )
            for topic, records in transaction.batches.items()
            for record in records
        ]
        await asyncio.gather(*sent)


async def in_batches(bootstrap: str, topics: Topics, made: MadeLog) -> float:
    """Whole batches by one producer for each partition, all side by side: how the engine writes; how many seconds."""
    logs = [
        FencedLog(
            bootstrap=bootstrap,
            transactional_id=f"{topics.prefix}-engine-{number}",
            partition=number,
            events_topic=topics.events,
        )
        for number in range(PARTITIONS)
    ]

    async def write(number: int) -> None:
        for transaction in made.transactions:
            if transaction.partition == number:
                await logs[number].commit(transaction.batches)

    try:
        for log in logs:
            await log.fence()
        begin = time.perf_counter()
        await asyncio.gather(*(write(number) for number in range(PARTITIONS)))
        return time.perf_counter() - begin
    finally:
        for log in logs:
            await log.close()
