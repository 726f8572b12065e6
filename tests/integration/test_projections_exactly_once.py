"""Every event counts once in the read models, whatever happens to projectors, database and broker."""

from __future__ import annotations

import asyncio
import signal
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest

from infra.kafka.topics import create_topics, topics_of
from infra.postgres.migrations import upgrade
from projections.feed import LogReplacedError
from projections.fold import Batch
from projections.projector import RETRIES, Projector
from projections.writer import Move, PositionTakenError, Writer
from tests.conftest import PARTITIONS
from tests.integration.projections_harness import (
    assert_each_counted_once,
    caught_up,
    ended,
    positions,
    projecting,
    projector_process,
    publish,
    until,
)
from tests.projections.histories import folded, wander
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from infra.embedded.kafka import EmbeddedKafka
    from infra.embedded.postgres import EmbeddedPostgres
    from infra.kafka.log_reader import LogRecord
    from infra.settings import Settings

ACCOUNTS = [f"account-{number}" for number in range(30)]


def random_log(seed: int, steps: int) -> SampleLog:
    random, log = Random(seed), SampleLog()
    for _ in range(steps):
        wander(log, random.choice(ACCOUNTS), 1, random)
    return log


async def test_a_log_with_aborted_transactions(settings: Settings) -> None:
    upgrade(settings.database_url)
    log = random_log(1, 600)
    async with projecting(settings):
        await publish(settings, log.records)
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)


async def test_projectors_share_the_partitions_and_take_over(settings: Settings) -> None:
    upgrade(settings.database_url)
    log = random_log(2, 600)
    third = len(log.records) // 3
    async with projecting(settings):
        await publish(settings, log.records[:third])
        async with projecting(settings.model_copy(update={"worker_id": "1"})):
            await publish(settings, log.records[third : 2 * third])
            await caught_up(settings)
        await publish(settings, log.records[2 * third :])
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)


async def test_two_that_take_the_partitions_from_each_other(settings: Settings) -> None:
    """Two of one name: the group throws each out in turn, and both believe that all partitions are theirs."""
    upgrade(settings.database_url)
    log = random_log(8, 600)
    async with projecting(settings), projecting(settings):
        await publish(settings, log.records, size=10)
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)


async def test_topics_that_are_made_later(settings: Settings) -> None:
    mine = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}-later"})
    upgrade(mine.database_url)
    log = SampleLog()
    log.buy("ada")
    async with projecting(mine) as projector:

        async def is_joining() -> bool:
            return projector._feed._consumer is not None

        await until(is_joining)
        await create_topics(mine.kafka_bootstrap, topics_of(mine), partitions=PARTITIONS)
        await publish(mine, log.records)
        await caught_up(mine)
    await assert_each_counted_once(mine, log, log.records)


async def test_a_log_that_was_replaced_is_not_projected_over_the_old_one(settings: Settings) -> None:
    upgrade(settings.database_url)
    writer = await Writer.open(settings.database_url)
    topic = topics_of(settings).events
    await writer.positions([(topic, 0)])
    await writer.write(Batch(), [Move(topic=topic, partition=0, expected=0, reached=1_000)])
    await writer.close()
    with pytest.raises(LogReplacedError):
        await asyncio.wait_for(Projector(settings).run(), 60)


def has_retried() -> Callable[[], Awaitable[bool]]:
    """Whether the projector has met trouble since."""
    before = RETRIES._value.get()

    async def has() -> bool:
        return bool(RETRIES._value.get() > before)

    return has


async def test_two_writers_of_one_partition(settings: Settings) -> None:
    """However they interleave, one of two batches from the same position is written, and the other is not."""
    upgrade(settings.database_url)
    log = random_log(3, 60)
    writers = [await Writer.open(settings.database_url) for _ in range(3)]
    refused = 0
    for number, record in enumerate(log.records):
        move = Move(topic="t", partition=0, expected=number, reached=number + 1)
        await writers[0].positions([("t", 0)])
        tries = [writer.write(folded([record]), [move]) for writer in writers]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(result is None for result in results) == 1
        refused += sum(isinstance(result, PositionTakenError) for result in results)
    assert refused == 2 * len(log.records)
    for writer in writers:
        await writer.close()
    await assert_each_counted_once(settings, log, log.records)


@pytest.mark.parametrize("purchases", [1, 400], ids=["few rows", "many rows"])
async def test_killed_inside_its_transaction(settings: Settings, purchases: int) -> None:
    upgrade(settings.database_url)
    log = SampleLog()
    for number in range(purchases):
        log.buy(f"account-{number}")
    killed = projector_process(settings)
    try:
        with psycopg.connect(settings.database_url) as barrier:
            barrier.execute("LOCK TABLE billing.commands")
            await publish(settings, log.records, size=2000)
            await until(lambda: _waits_inside_a_transaction(settings))
            killed.kill()
            killed.wait()
    finally:
        killed.kill()
    async with projecting(settings):
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)


async def _waits_inside_a_transaction(settings: Settings) -> bool:
    with psycopg.connect(settings.database_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'billing-projector' "
            "AND wait_event_type = 'Lock' AND xact_start IS NOT NULL AND datname = current_database()"
        ).fetchone()
    return found is not None and found[0] > 0


async def test_killed_again_and_again(settings: Settings) -> None:
    upgrade(settings.database_url)
    log = random_log(4, 1500)
    topic, random = topics_of(settings).events, Random(4)
    rounds = 3
    for number in range(rounds):
        before = sum(positions(settings.database_url, topic).values())
        process = projector_process(settings)
        await publish(settings, _part(log, number, rounds), size=20)

        async def moved(before: int = before) -> bool:
            return sum(positions(settings.database_url, topic).values()) > before

        await until(moved)
        await asyncio.sleep(random.random() * 0.05)
        process.kill()
        process.wait()
    async with projecting(settings):
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)


def _part(log: SampleLog, number: int, parts: int) -> list[LogRecord]:
    size = len(log.records) // parts + 1
    return log.records[number * size : (number + 1) * size]


async def test_frozen_for_longer_than_its_session(settings: Settings) -> None:
    """A projector that wakes up when another one has gone on must write nothing of what it holds."""
    upgrade(settings.database_url)
    log = random_log(5, 600)
    half = len(log.records) // 2
    frozen = projector_process(settings, "frozen")
    try:
        await publish(settings, log.records[:half])
        await caught_up(settings)
        with psycopg.connect(settings.database_url) as barrier:
            barrier.execute("LOCK TABLE billing.commands")
            await publish(settings, log.records[half:], size=2000)
            await until(lambda: _waits_inside_a_transaction(settings))
            frozen.send_signal(signal.SIGSTOP)
        async with projecting(settings):
            await caught_up(settings)
            frozen.send_signal(signal.SIGCONT)
            frozen.send_signal(signal.SIGTERM)
            await asyncio.to_thread(frozen.wait, 60)
    finally:
        frozen.kill()
        frozen.wait()
    await assert_each_counted_once(settings, log, log.records)


async def test_asked_to_stop_it_ends_well(settings: Settings) -> None:
    log = SampleLog()
    log.buy("ada")
    process = projector_process(settings)
    try:
        await publish(settings, log.records)
        await caught_up(settings)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        process.kill()
        process.wait()
    await assert_each_counted_once(settings, log, log.records)


async def test_database_killed_and_restarted(settings: Settings, private_postgres: EmbeddedPostgres) -> None:
    mine = settings.model_copy(update={"database_url": private_postgres.url})
    upgrade(mine.database_url)
    log = random_log(6, 900)
    async with projecting(mine):
        publishing = asyncio.create_task(publish(mine, log.records, size=10))
        for _ in range(3):
            before = sum(positions(mine.database_url, topics_of(mine).events).values())

            async def moved(before: int = before) -> bool:
                return publishing.done() or sum(positions(mine.database_url, topics_of(mine).events).values()) > before

            await until(moved)
            retried = has_retried()
            await asyncio.to_thread(private_postgres.kill)
            await until(retried)
            await asyncio.to_thread(private_postgres.start)
        await publishing
        await caught_up(mine)
    await assert_each_counted_once(mine, log, log.records)


async def test_broker_killed_and_restarted(settings: Settings, private_kafka: EmbeddedKafka) -> None:
    mine = settings.model_copy(update={"kafka_bootstrap": private_kafka.bootstrap})
    upgrade(mine.database_url)
    await create_topics(mine.kafka_bootstrap, topics_of(mine), partitions=PARTITIONS)
    log = random_log(7, 300)
    half = len(log.records) // 2
    async with projecting(mine):
        await publish(mine, log.records[:half])
        await ended(mine)
        await asyncio.to_thread(private_kafka.kill)
        await asyncio.to_thread(private_kafka.start)
        await publish(mine, log.records[half:])
        await caught_up(mine)
    await assert_each_counted_once(mine, log, log.records)


async def test_an_impatient_projector_gives_up_without_its_database(settings: Settings) -> None:
    """It ends, so that whoever supervises it knows; there is no silent waiting for ever."""
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    projector = Projector(away, patience_s=0.5)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(projector.run(), 60)


async def test_positions_only_without_rows(settings: Settings) -> None:
    """Gaps that transactions leave are passed, although no record stands in them."""
    upgrade(settings.database_url)
    writer = await Writer.open(settings.database_url)
    assert await writer.positions([("t", 1), ("t", 0)]) == {("t", 0): 0, ("t", 1): 0}
    await writer.write(Batch(), [Move(topic="t", partition=1, expected=0, reached=7)])
    assert await writer.positions([("t", 1), ("t", 0)]) == {("t", 0): 0, ("t", 1): 7}
    with pytest.raises(PositionTakenError):
        await writer.write(Batch(), [Move(topic="t", partition=1, expected=0, reached=9)])
    assert await writer.positions([("t", 1)]) == {("t", 1): 7}
    await writer.close()
