"""The consumer group's offsets are a hint: rewound or deleted, they change nothing. The log knows where it stands."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DeleteGroupsRequest

from domain.ids import CommandId, PriceId, derive
from domain.orders.commands import OrderItem, PlaceOrder
from infra.kafka.command_sender import CommandSender
from infra.kafka.log_reader import open_log
from infra.kafka.topics import Topics, create_topics, topics_of
from schemas.envelope import new_command
from tests.chaos.evidence import Evidence
from tests.chaos.journal_harness import HandClock, as_evidence
from tests.chaos.roles import eventually, role
from tests.chaos.verifier import (
    chains_hold,
    groups_end_with_their_outcome,
    no_outcome_is_doubled,
    sequences_have_no_gap,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from infra.embedded.process import ChildProcess
    from infra.settings import Settings

pytestmark = pytest.mark.chaos

COMMANDS = 100


@asynccontextmanager
async def sender(settings: Settings, topics: Topics) -> AsyncIterator[CommandSender]:
    made = CommandSender(settings.kafka_bootstrap, topics.commands, partitions=settings.partitions)
    made.start()
    try:
        yield made
    finally:
        await made.stop()


async def send(sender: CommandSender, first: int, count: int) -> None:
    order = PlaceOrder(items=(OrderItem(price_id=PriceId("nothing:eur")),), provider="stripe")
    now = HandClock().now()
    for number in range(first, first + count):
        account = f"account-{number}"
        command_id = CommandId(derive(account, "order"))
        await sender.send(
            new_command(command_id=command_id, key=account, time=now, source="test", actor="test", data=order)
        )


async def evidence(settings: Settings, topics: Topics) -> Evidence:
    async with open_log(settings.kafka_bootstrap, topics.events) as log:
        return Evidence(log=[as_evidence(record) async for record in log.read()])


def outcomes(found: Evidence) -> int:
    return sum(record.headers["ce_type"].startswith("billing.command.") for record in found.log)


async def settled(settings: Settings, topics: Topics, count: int) -> None:
    async def decided() -> bool:
        return outcomes(await evidence(settings, topics)) >= count

    await eventually(decided, what=f"{count} outcomes")


async def rewind(settings: Settings, topics: Topics, group: str) -> None:
    """Commit offset 0 of every partition, as an operator's tool would."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(topics.commands, number) for number in range(settings.partitions)]
    consumer.assign(partitions)
    await consumer.commit(dict.fromkeys(partitions, 0))
    await consumer.stop()


async def delete(settings: Settings, topics: Topics, group: str) -> None:
    """Delete the group with all of its offsets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    coordinator = await admin.find_coordinator(group)
    answer = await admin._send_request(DeleteGroupsRequest([group]), coordinator)  # the client offers no call for it
    await admin.close()
    assert answer.results == [(group, 0)]


async def leave_group(settings: Settings, group: str) -> None:
    """A killed worker's membership ends with its session; only then may others touch the group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()

    async def is_empty() -> bool:
        (description,) = (await admin.describe_consumer_groups([group]))[0].groups
        return description[2] in {"Empty", "Dead"}

    try:
        await eventually(is_empty, what="the end of the session")
    finally:
        await admin.close()


async def until_ready(child: ChildProcess) -> None:
    async def is_ready() -> bool:
        assert child.is_running(), child.log_tail()
        return "engine.partitions.ready" in child.log_since_start()

    await eventually(is_ready, what="an engine with partitions")


async def trial(settings: Settings, meddle: Callable[[Settings, Topics, str], Awaitable[None]]) -> None:
    """Let an engine decide, meddle with its group while it is away, and look at what it does when it comes back."""
    topics = topics_of(settings)
    group = f"{topics.prefix}-engine"
    async with sender(settings, topics) as commands:
        with role(settings, "worker", "engine", name="engine-0") as engine:
            await until_ready(engine)
            await send(commands, 0, COMMANDS)
            await settled(settings, topics, COMMANDS)
            await asyncio.to_thread(engine.stop)
        await leave_group(settings, group)
        before = await evidence(settings, topics)

        await meddle(settings, topics, group)

        await send(commands, COMMANDS, 10)
        await send(commands, 0, 10)  # repeats
        with role(settings, "worker", "engine", name="engine-0") as engine:
            await settled(settings, topics, COMMANDS + 10)
            await asyncio.to_thread(engine.stop)

    after = await evidence(settings, topics)
    assert outcomes(after) == COMMANDS + 10
    assert {record.position for record in before.log} <= {record.position for record in after.log}
    for check in (no_outcome_is_doubled, groups_end_with_their_outcome, sequences_have_no_gap, chains_hold):
        assert check(after).faults == []


async def test_offsets_of_the_group_change_nothing(settings: Settings, topics: Topics) -> None:
    """Two engines with topics of their own, side by side: each trial waits for the end of a session."""
    others = Topics(f"{topics.prefix}-deleted")
    await create_topics(settings.kafka_bootstrap, others, partitions=settings.partitions)
    other = settings.model_copy(update={"topic_prefix": others.prefix, "data_dir": settings.data_dir / "deleted"})

    await asyncio.gather(trial(settings, rewind), trial(other, delete))
