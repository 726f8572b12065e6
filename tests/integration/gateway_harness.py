"""What tests of the gateway share: effects as the engine writes them, a running gateway, and what came of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from domain.effects import ChargeMethod, CreateCheckout, RefundPayment
from domain.ids import EffectId, OrderId, PaymentId, RefundId, derive
from domain.money import Money
from infra.clock import SystemClock
from infra.kafka.topics import topics_of
from processors.gateway import Gateway
from schemas.codec import encode, type_of
from schemas.envelope import headers_of_type, read_command, timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from domain.effects import Effect
    from domain.ports import Clock, PaymentProvider
    from infra.settings import Settings
    from schemas.envelope import CommandRecord

WAIT_S = 60.0
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


def checkout(name: str, *, provider: str = "memory", attempt: int = 1) -> CreateCheckout:
    """An effect whose ids follow from the name."""
    return CreateCheckout(
        effect_id=EffectId(derive(name, "effect")),
        payment_id=PaymentId(derive(name, "payment")),
        order_id=OrderId(derive(name, "order")),
        provider=provider,
        attempt=attempt,
        amount=Money(amount=999, currency="USD"),
        description="A film",
        save_method=False,
        return_url=None,
        created_at=NOW,
        expires_at=NOW + timedelta(hours=23),
    )


def charging(name: str, *, provider: str = "memory", customer: str = "c", method: str = "m") -> ChargeMethod:
    """A charge whose ids follow from the name."""
    return ChargeMethod(
        effect_id=EffectId(derive(name, "charge effect")),
        payment_id=PaymentId(derive(name, "payment")),
        order_id=OrderId(derive(name, "order")),
        provider=provider,
        attempt=1,
        amount=Money(amount=999, currency="USD"),
        description="A month",
        customer_reference=customer,
        method_reference=method,
        created_at=NOW,
        expires_at=NOW + timedelta(days=5),
    )


def refunding(name: str, charge: ChargeMethod) -> RefundPayment:
    """A refund of all of a charge, at the provider in memory."""
    return RefundPayment(
        effect_id=EffectId(derive(name, "refund effect")),
        refund_id=RefundId(derive(name, "refund")),
        payment_id=charge.payment_id,
        provider=charge.provider,
        attempt=1,
        payment_reference=f"charge-{charge.effect_id}",
        amount=charge.amount,
        reference=None,
        requested_at=NOW,
    )


def answer_id(effect: Effect) -> str:
    """The id that the answer to an effect must have."""
    return derive(effect.effect_id, f"answer {effect.attempt}")


async def write_effects(settings: Settings, effects: Sequence[tuple[str, Effect]], *, abort: bool = False) -> None:
    """Write effects by account in one transaction, as the engine does."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=f"{settings.topic_prefix}-test-engine"
    )
    await producer.start()
    await producer.begin_transaction()
    for account, effect in effects:
        name = type_of(effect)
        headers = [
            *headers_of_type(name),
            ("ce_id", f"{effect.effect_id}-{effect.attempt}".encode()),
            ("ce_source", b"billing/engine"),
            ("ce_subject", account.encode()),
            ("ce_time", timestamp(NOW)),
            ("command_id", b"a-command"),
            ("correlation_id", f"correlation of {account}".encode()),
        ]
        topic = topics_of(settings).effects
        await producer.send(topic, key=account.encode(), value=encode(effect), headers=headers)
    await (producer.abort_transaction() if abort else producer.commit_transaction())
    await producer.stop()


def account_in(partition: int, partitions: int, number: int = 0) -> str:
    """The `number`-th account name that lives in the partition."""
    found = (
        name
        for index in range(100_000)
        if DefaultPartitioner()(name := f"account-{index}".encode(), list(range(partitions)), []) == partition
    )
    for _ in range(number):
        next(found)
    return next(found).decode()


@asynccontextmanager
async def running(
    settings: Settings, *providers: PaymentProvider, call_timeout_s: float = 10.0, clock: Clock | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """A gateway at work. It is stopped as SIGTERM stops it, and its failure is the test's."""
    by_name = {provider.name: provider for provider in providers}
    gateway = Gateway(settings, by_name, clock or SystemClock(), call_timeout_s=call_timeout_s)
    task = asyncio.create_task(gateway.run())
    try:
        yield task
    finally:
        gateway.stop()
        await asyncio.wait({task}, timeout=WAIT_S)
    with suppress(asyncio.CancelledError):
        await task


class Reader:
    """Reads a topic from its beginning until it has seen what a test waits for."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=settings.kafka_bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        self.records: list[Any] = []

    async def __aenter__(self) -> Reader:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """Return all records as soon as they are enough."""
        deadline = time.monotonic() + WAIT_S
        while not enough(self.records):
            assert time.monotonic() < deadline, f"{self._topic}: waited for more than {len(self.records)} records"
            for batch in (await self._consumer.getmany(timeout_ms=200)).values():
                self.records += batch
        return self.records


async def answers(settings: Settings, expected: int) -> dict[str, CommandRecord]:
    """The answers by command id, as soon as there are so many different ones."""
    async with Reader(settings, topics_of(settings).commands) as reader:
        records = await reader.until(lambda records: len({_id(record) for record in records}) >= expected)
    commands = [read_command(record.key, record.value, record.headers) for record in records]
    return {command.id: command for command in commands}


async def committed(settings: Settings) -> dict[int, int | None]:
    """The group's committed offsets by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, group_id=f"{settings.topic_prefix}.gateway")
    await consumer.start()
    try:
        topic = topics_of(settings).effects
        return {
            partition: await consumer.committed(TopicPartition(topic, partition))
            for partition in range(settings.partitions)
        }
    finally:
        await consumer.stop()


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition of this process."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.02)


def _id(record: Any) -> object:
    return dict(record.headers)["command_id"]
