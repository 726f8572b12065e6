"""One engine worker, the real process, with commands that wait for it: how many it decides and commits a second."""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from aiokafka import AIOKafkaProducer

from domain.orders.events import OrderPlaced
from domain.payments.events import PaymentCreated
from infra.kafka.log_reader import open_log, partition_of
from infra.kafka.topics import Topics, create_topics
from infra.settings import Settings
from schemas.envelope import command_body, command_headers, read_event
from schemas.messages import CommandAccepted
from tests.bench import workload
from tests.bench.made_log import PARTITIONS
from tests.chaos.roles import role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.embedded.process import ChildProcess
    from schemas.envelope import CommandRecord
    from tests.stack import Stack

COMMANDS = 40_000
BODY_HASH = "0" * 64
"""What tells our commands from those of timers: nobody answers the calls to the provider, so they are repeated."""
DEADLINE_S = 180.0
POLL_S = 0.05
BATCH_BYTES = 900_000


def run(stack: Stack) -> dict[str, Any]:
    """Measure with as many accounts as the workload has."""
    topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=stack.kafka_bootstrap,
            database_url=stack.database_url,
            topic_prefix=topics.prefix,
            partitions=PARTITIONS,
            data_dir=Path(folder),
        )
        asyncio.run(create_topics(stack.kafka_bootstrap, topics, partitions=PARTITIONS))
        with role(settings, "worker", "engine", name="engine-0", LOG_LEVEL="WARNING") as engine:
            return asyncio.run(_measure(stack.kafka_bootstrap, topics, engine))


async def _measure(bootstrap: str, topics: Topics, engine: ChildProcess) -> dict[str, Any]:
    catalogue = workload.catalogue_commands()
    await send_all(bootstrap, topics, catalogue)
    await _grown(bootstrap, topics, {}, 3 * len(catalogue))
    process = psutil.Process(engine.pid)
    await send_all(bootstrap, topics, workload.orders(COMMANDS // 10, run="warm-up"))
    await _decided(bootstrap, topics, COMMANDS // 10)
    before = await _ends(bootstrap, topics)
    orders = list(workload.orders(COMMANDS, run="engine"))
    cpu_before = sum(process.cpu_times()[:2])
    sent_at_ms = time.time_ns() // 1_000_000
    begin = time.perf_counter()
    await send_all(bootstrap, topics, orders)
    sending_s = time.perf_counter() - begin
    await _grown(bootstrap, topics, before, COMMANDS * (workload.EVENTS_PER_COMMAND + 1))
    cpu_s = sum(process.cpu_times()[:2]) - cpu_before
    await _decided(bootstrap, topics, COMMANDS, before)  # markers of transactions count as growth too
    counted = await _count(bootstrap, topics, before)
    assert counted.outcomes == COMMANDS, f"{counted.outcomes} outcomes of {COMMANDS} commands"
    seconds = (counted.last_ms - sent_at_ms) / 1_000
    return {
        "commands": COMMANDS,
        "events_per_command": round(counted.events / counted.outcomes, 2),
        "commands_per_s": round(COMMANDS / seconds),
        "cpu_us_per_command": round(cpu_s / COMMANDS * 1e6, 1),
        "commands_per_transaction": round(COMMANDS / counted.transactions),
        "sending_s": round(sending_s, 2),
        "memory_mib": round(process.memory_info().rss / 2**20),
    }


async def send_all(bootstrap: str, topics: Topics, commands: Iterable[CommandRecord]) -> None:
    """Put them on the topic as fast as it goes: the sender's share of the machine should be small."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=BATCH_BYTES)
    await producer.start()
    builders: dict[int, Any] = {}
    pending = []
    try:
        for command in commands:
            key = command.key.encode()
            partition = partition_of(key, PARTITIONS)
            record = {"key": key, "value": command_body(command), "headers": command_headers(command)}
            builder = builders.get(partition)
            if builder is None or builder.append(timestamp=None, **record) is None:
                if builder is not None:
                    pending.append(await producer.send_batch(builder, topics.commands, partition=partition))
                builder = builders[partition] = producer.create_batch()
                builder.append(timestamp=None, **record)
        for partition, builder in builders.items():
            pending.append(await producer.send_batch(builder, topics.commands, partition=partition))
        await asyncio.gather(*pending)
    finally:
        await producer.stop()


async def _ends(bootstrap: str, topics: Topics) -> dict[int, int]:
    async with open_log(bootstrap, topics.events) as log:
        return await log.end_offsets()


async def _decided(bootstrap: str, topics: Topics, count: int, start: dict[int, int] | None = None) -> None:
    """Until so many commands have an outcome, from these offsets on."""
    deadline = time.monotonic() + DEADLINE_S
    while (await _count(bootstrap, topics, start or {})).outcomes < count:
        assert time.monotonic() < deadline, "the engine does not decide"
        await asyncio.sleep(0.5)


async def _grown(bootstrap: str, topics: Topics, before: dict[int, int], records: int) -> None:
    """Until the log has grown by so many records; looking costs next to nothing."""
    deadline = time.monotonic() + DEADLINE_S
    async with open_log(bootstrap, topics.events) as log:
        while sum((await log.end_offsets()).values()) - sum(before.values()) < records:
            assert time.monotonic() < deadline, "the engine does not finish"
            await asyncio.sleep(POLL_S)


async def _count(bootstrap: str, topics: Topics, start: dict[int, int]) -> Counted:
    """What the log has of our commands, from these offsets on."""
    counted = Counted()
    async with open_log(bootstrap, topics.events) as log:
        ends = await log.end_offsets()
        for partition, end in ends.items():
            begin = start.get(partition, 0)
            records = 0
            async for record in log.read(partitions=[partition], start=begin, ends={partition: end}):
                records += 1
                event = read_event(record.key, record.value, record.headers)
                if isinstance(event.data, CommandAccepted) and event.data.body_hash == BODY_HASH:
                    counted.outcomes += 1
                    counted.last_ms = max(counted.last_ms, record.timestamp_ms)
                if isinstance(event.data, OrderPlaced | PaymentCreated):
                    counted.events += 1
            counted.transactions += end - begin - records  # every transaction ends with one marker
    return counted


@dataclass(slots=True)
class Counted:
    """Records of the log. `last_ms` is the time of the newest outcome, in milliseconds since 1970."""

    outcomes: int = 0
    events: int = 0
    last_ms: int = 0
    transactions: int = 0
