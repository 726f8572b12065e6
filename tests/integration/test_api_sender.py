"""The command sender against a broker that is killed, frozen and away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.ids import CommandId, OrderId, derive
from domain.orders.commands import CancelOrder
from infra.kafka.command_sender import CommandSender, SendUnknownError
from infra.kafka.topics import Topics, create_topics
from schemas.envelope import CommandRecord, new_command, read_command

if TYPE_CHECKING:
    from infra.embedded.kafka import EmbeddedKafka
    from infra.settings import Settings

_TOPICS = Topics()
_PARTITIONS = 2


def _command(name: str, account: str = "alice") -> CommandRecord:
    return new_command(
        command_id=CommandId(derive(account, name)),
        key=account,
        time=datetime(2026, 1, 2, tzinfo=UTC),
        source="/test",
        actor=f"user:{account}",
        data=CancelOrder(order_id=OrderId(name)),
        body_hash="hash",
    )


async def _send_until_acknowledged(sender: CommandSender, command: CommandRecord) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await sender.send(command)
            except SendUnknownError:
                continue
            return


async def _send_until_unknown(sender: CommandSender) -> None:
    """A broker that is being frozen may still answer for a moment."""
    async with asyncio.timeout(60):
        number = 0
        while True:
            number += 1
            try:
                await sender.send(_command(f"during{number}"))
            except SendUnknownError:
                return


async def _read(bootstrap: str, topic: str, partition: int) -> list[CommandRecord]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        owned = TopicPartition(topic, partition)
        consumer.assign([owned])
        await consumer.seek_to_beginning(owned)
        end = (await consumer.end_offsets([owned]))[owned]
        commands = []
        while await consumer.position(owned) < end:
            record = await consumer.getone()
            commands.append(read_command(record.key, record.value, record.headers))
        return commands
    finally:
        await consumer.stop()


async def test_position_is_where_the_command_stands(settings: Settings) -> None:
    topic = f"{settings.topic_prefix}.commands"
    sender = CommandSender(settings.kafka_bootstrap, topic, partitions=settings.partitions)
    sender.start()
    try:
        first = await sender.send(_command("one"))
        positions = await asyncio.gather(*(sender.send(_command(f"n{number}")) for number in range(50)))
    finally:
        await sender.stop()
    assert first.partition == sender.partition_of(b"alice")
    assert first.offset == 0
    assert sorted(position.offset or 0 for position in positions) == list(range(1, 51))
    found = await _read(settings.kafka_bootstrap, topic, first.partition)
    assert found[0] == _command("one")


async def test_partition_is_the_default_partitioners(settings: Settings) -> None:
    sender = CommandSender(settings.kafka_bootstrap, "any", partitions=8)
    # murmur2, as in Kafka's own test of its default partitioner: any producer agrees about where a key belongs.
    assert [sender.partition_of(key) for key in (b"foobar", b"a-little-bit-long-string")] == [
        (-790332482 & 0x7FFFFFFF) % 8,
        (-985981536 & 0x7FFFFFFF) % 8,
    ]


async def test_starts_without_a_broker_and_says_so() -> None:
    sender = CommandSender("127.0.0.1:1", "billing.commands", partitions=2, deadline_s=0.3)
    sender.start()
    try:
        with pytest.raises(SendUnknownError):
            await sender.send(_command("one"))
        assert "127.0.0.1:1" in (await sender.check(1.0) or "")
    finally:
        await sender.stop()


@pytest.mark.parametrize("harm", ["kill", "freeze"])
async def test_survives_the_broker(private_kafka: EmbeddedKafka, harm: str) -> None:
    await create_topics(private_kafka.bootstrap, _TOPICS, partitions=_PARTITIONS)
    sender = CommandSender(private_kafka.bootstrap, _TOPICS.commands, partitions=_PARTITIONS, deadline_s=1.0)
    sender.start()
    try:
        await _send_until_acknowledged(sender, _command("before"))
        assert await sender.check(5.0) is None
        if harm == "kill":
            private_kafka.kill()
        else:
            private_kafka.freeze()
        await _send_until_unknown(sender)
        assert await sender.check(0.5) is not None
        if harm == "kill":
            await asyncio.to_thread(private_kafka.start)
        else:
            private_kafka.thaw()
        await asyncio.gather(*(_send_until_acknowledged(sender, _command(f"after{n}")) for n in range(20)))
        found = await _read(private_kafka.bootstrap, _TOPICS.commands, sender.partition_of(b"alice"))
    finally:
        await sender.stop()
    ids = {command.id for command in found}
    assert {_command(name).id for name in ("before", *(f"after{n}" for n in range(20)))} <= ids


async def test_stop_ends_with_the_broker_away(private_kafka: EmbeddedKafka) -> None:
    await create_topics(private_kafka.bootstrap, _TOPICS, partitions=_PARTITIONS)
    sender = CommandSender(private_kafka.bootstrap, _TOPICS.commands, partitions=_PARTITIONS, deadline_s=0.5)
    sender.start()
    await _send_until_acknowledged(sender, _command("before"))
    private_kafka.kill()
    with pytest.raises(SendUnknownError):
        await sender.send(_command("during"))
    async with asyncio.timeout(20):
        await sender.stop()
