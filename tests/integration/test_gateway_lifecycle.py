"""The gateway when workers come and go and when the broker is away: every effect is answered, none is forgotten."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.effects import AnswerStatus, CreateCheckout, ProviderAnswer
from infra.clock import DevelopmentClock
from infra.kafka.topics import Topics, create_topics
from infra.memory.provider import MemoryProvider
from infra.settings import Settings
from tests.integration.gateway_harness import (
    answer_id,
    answers,
    checkout,
    committed,
    eventually,
    running,
    write_effects,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from domain.reports import ReportPage
    from infra.embedded.kafka import EmbeddedKafka


class SlowProvider(MemoryProvider):
    """Takes a moment for each call."""

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        await asyncio.sleep(0.05)
        return await super().create_checkout(effect, account=account)


class AskedProvider(MemoryProvider):
    """Counts how often it was asked what it told."""

    asked = 0

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        self.asked += 1
        return await super().reports(since, cursor=cursor)


async def test_it_sweeps_when_the_clock_says_so(settings: Settings, tmp_path: Path) -> None:
    clock = DevelopmentClock(tmp_path / "clock")
    provider = AskedProvider(now=clock.now)
    async with running(settings, provider, clock=clock):
        await eventually(lambda: provider.asked == 1, "the first sweep")
        clock.advance(timedelta(seconds=settings.gateway_sweep_interval_s))
        await eventually(lambda: provider.asked == 2, "the next one")


async def test_a_second_worker_shares_the_work(settings: Settings) -> None:
    first, second = SlowProvider(), SlowProvider()
    small = settings.model_copy(update={"gateway_concurrency": 2})
    effects = [(f"account-{number}", checkout(str(number))) for number in range(400)]
    await write_effects(settings, effects)

    async with running(small, first):
        await eventually(lambda: len(first.calls) > 20, "the first worker is at work")
        async with running(small, second):
            await eventually(lambda: len(second.calls) > 20, "the second worker has partitions of its own")
            found = await answers(settings, 400)

    assert set(found) == {answer_id(effect) for _, effect in effects}
    repeated = len(first.calls) + len(second.calls) - 400
    assert repeated < 100, "only what was in hand at the moment of the change may be done twice"


async def test_a_stop_ends_what_runs_and_leaves_the_rest(settings: Settings) -> None:
    provider = SlowProvider()
    small = settings.model_copy(update={"gateway_concurrency": 2})
    effects = [(f"account-{number}", checkout(str(number))) for number in range(200)]
    await write_effects(settings, effects)

    async with running(small, provider):
        await eventually(lambda: len(provider.calls) > 10, "some calls")
    begun = {call.effect_id for call in provider.calls}
    found = await answers(settings, len(begun))
    assert {command.data.effect_id for command in found.values()} == begun, "what was begun was told"

    async with running(settings, provider):
        await answers(settings, 200)
    assert len(provider.calls) <= 200 + len(begun)
    assert len(provider.pages) == 200


async def test_lag_is_nothing_when_all_is_done(settings: Settings) -> None:
    """A transaction ends with a marker that takes an offset of its own: it must not look like work that waits."""
    await write_effects(settings, [(f"account-{number}", checkout(str(number))) for number in range(20)])
    topic = Topics(settings.topic_prefix).effects

    async with running(settings, MemoryProvider()):
        await answers(settings, 20)
        deadline = time.monotonic() + 10
        while True:
            ends = await _ends(settings, topic)
            if {partition: offset or 0 for partition, offset in (await committed(settings)).items()} == ends:
                break
            assert time.monotonic() < deadline, (ends, await committed(settings))


async def test_a_broker_that_was_killed_delays_answers_only(private_kafka: EmbeddedKafka, data_dir: Path) -> None:
    settings = Settings(
        _env_file=None,
        kafka_bootstrap=private_kafka.bootstrap,
        topic_prefix="killed",
        partitions=2,
        data_dir=data_dir,
    )
    await create_topics(private_kafka.bootstrap, Topics("killed"), partitions=2)
    entered, gate = asyncio.Event(), asyncio.Event()

    class Gated(MemoryProvider):
        async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
            entered.set()
            await gate.wait()
            return await super().create_checkout(effect, account=account)

    effects = [(f"account-{number}", checkout(str(number))) for number in range(10)]
    await write_effects(settings, effects)

    async with running(settings, Gated()):
        await entered.wait()
        await asyncio.to_thread(private_kafka.kill)
        gate.set()
        await asyncio.to_thread(private_kafka.start)
        found = await answers(settings, 10)
        after = checkout("after")
        await write_effects(settings, [("after", after)])
        found |= await answers(settings, 11)

    assert {command.data.answer.status for command in found.values()} == {AnswerStatus.ACTION_REQUIRED}


async def _ends(settings: Settings, topic: str) -> dict[int, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(
            [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        )
        return {partition.partition: offset for partition, offset in ends.items()}
    finally:
        await consumer.stop()
