"""Waiting until a record is projected, and seeing how far the projector is."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from infra.kafka.topics import topics_of
from infra.postgres.migrations import upgrade
from projections.fold import Batch
from projections.positions import PositionWatcher
from projections.writer import Move, Writer
from tests.integration.projections_harness import caught_up, projecting, publish, until
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    import pytest

    from infra.embedded.postgres import EmbeddedPostgres
    from infra.settings import Settings

TOPIC = "billing.events"


async def move(writer: Writer, expected: int, reached: int, *, topic: str = TOPIC, partition: int = 3) -> None:
    await writer.positions([(topic, partition)])
    await writer.write(Batch(), [Move(topic=topic, partition=partition, expected=expected, reached=reached)])


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


async def test_waiting_ends_when_the_record_is_projected(migrated_url: str) -> None:
    writer = await Writer.open(migrated_url)
    await move(writer, 0, 5)
    async with PositionWatcher(migrated_url) as watcher:
        assert await watcher.wait_for_position(3, 4, soon()), "what was there before it listened"
        waiting = asyncio.create_task(watcher.wait_for_position(3, 5, soon()))
        assert not await watcher.wait_for_position(3, 5, soon(0.05))
        await move(writer, 0, 9, partition=2)
        await move(writer, 0, 9, topic="other.events")
        assert not await watcher.wait_for_position(3, 5, soon(0.05)), "neither another partition nor another topic"
        await move(writer, 5, 6)
        assert await waiting
        assert watcher.next_offset(3) == 6
        assert not await watcher.wait_for_position(3, 5_000, time.monotonic() - 1)
    await writer.close()


async def test_a_change_wakes_whoever_looked_before_it(migrated_url: str) -> None:
    writer = await Writer.open(migrated_url)
    async with PositionWatcher(migrated_url) as watcher:
        assert await watcher.wait_for_change(0, soon()), "it is connected"
        seen = watcher.generation
        waiting = [asyncio.create_task(watcher.wait_for_change(seen, soon())) for _ in range(50)]
        await move(writer, 0, 1)
        assert all(await asyncio.gather(*waiting))
        assert await watcher.wait_for_change(seen, soon(0)), "it looked before, so it need not wait"
    await writer.close()


async def test_the_watcher_survives_its_database(private_postgres: EmbeddedPostgres) -> None:
    url = private_postgres.url
    upgrade(url)
    async with PositionWatcher(url) as watcher:
        assert await watcher.wait_for_change(0, soon())
        assert watcher.is_connected
        waiting = asyncio.create_task(watcher.wait_for_position(3, 0, soon(60)))
        await asyncio.to_thread(private_postgres.kill)

        async def is_lost() -> bool:
            return not watcher.is_connected

        await until(is_lost)
        await asyncio.to_thread(private_postgres.start)
        writer = await Writer.open(url)
        await move(writer, 0, 1)
        assert await waiting
        await writer.close()


async def test_the_watcher_may_start_before_its_database(private_postgres: EmbeddedPostgres) -> None:
    url = private_postgres.url
    await asyncio.to_thread(private_postgres.kill)
    async with PositionWatcher(url) as watcher:
        assert not await watcher.wait_for_position(3, 0, soon(0.3))
        await asyncio.to_thread(private_postgres.start)
        await asyncio.to_thread(upgrade, url)
        writer = await Writer.open(url)
        await move(writer, 0, 1)
        assert await watcher.wait_for_position(3, 0, soon())
        await writer.close()


async def test_status_shows_what_is_missing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.projections import app

    upgrade(settings.database_url)
    log = SampleLog()
    log.buy("ada")
    await publish(settings, log.records)
    for name in ("kafka_bootstrap", "topic_prefix", "partitions", "database_url", "data_dir"):
        monkeypatch.setenv(f"BILLING_{name.upper()}", str(getattr(settings, name)))
    events = topics_of(settings).events

    async def status() -> dict[str, int]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--json"])
        assert result.exit_code == 0, result.output
        shown = json.loads(result.stdout)
        assert shown["lag"] == sum(partition["lag"] for partition in shown["partitions"])
        assert len(shown["partitions"]) == 2 * settings.partitions
        return {key: sum(p[key] for p in shown["partitions"] if p["topic"] == events) for key in ("lag", "end_offset")}

    before = await status()
    assert before["lag"] == before["end_offset"] > len(log.records)
    async with projecting(settings):
        await caught_up(settings)
    after = await status()
    assert after == {"lag": 0, "end_offset": before["end_offset"]}
    table = await asyncio.to_thread(CliRunner().invoke, app, ["status"])
    assert table.exit_code == 0
    assert events in table.stdout
