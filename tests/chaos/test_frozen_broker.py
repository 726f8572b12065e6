"""The broker freezes while a transaction is being committed: nobody knows how it ended, and nobody may guess."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from infra.kafka import fenced_log
from infra.kafka.fenced_log import FencedError, UnsureError
from tests.chaos.journal_harness import Bench, bench_on

if TYPE_CHECKING:
    from pathlib import Path

    from infra.embedded.kafka import EmbeddedKafka

pytestmark = pytest.mark.chaos

PAUSES_S = (0.0, 0.001, 0.002, 0.004, 0.008)
"""How far the commit has come when the broker freezes: before the records, between them and the end, after it."""
COMMANDS = 20


async def test_a_commit_that_freezes_is_resolved_from_the_log(
    private_kafka: EmbeddedKafka, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await bench_on(private_kafka.bootstrap, data_dir)
    unsure = 0
    async with bench.journal() as journal:
        for number, pause_s in enumerate(PAUSES_S):
            batch = bench.orders(number * COMMANDS, COMMANDS)
            if not journal.is_open:
                await journal.open()
            with monkeypatch.context() as impatient:
                impatient.setattr(fenced_log, "COMMIT_DEADLINE_S", 1.0)
                commit = asyncio.create_task(journal.handle(batch))
                await asyncio.sleep(pause_s)
                private_kafka.freeze()
                try:
                    await commit
                except (FencedError, UnsureError):
                    unsure += 1
                    assert not journal.is_open
                finally:
                    private_kafka.thaw()
            if not journal.is_open:
                await journal.open()
            await journal.handle([bench.again(incoming) for incoming in batch])

    assert unsure
    assert await bench.faults(accepted=COMMANDS * len(PAUSES_S)) == []


async def test_a_commit_that_is_killed_is_resolved_from_the_log(
    private_kafka: EmbeddedKafka, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await bench_on(private_kafka.bootstrap, data_dir)
    async with bench.journal() as journal:
        await journal.open()
        first, batch = bench.orders(0, COMMANDS), bench.orders(COMMANDS, COMMANDS)
        await journal.handle(first)
        with monkeypatch.context() as impatient:
            impatient.setattr(fenced_log, "COMMIT_DEADLINE_S", 2.0)
            commit = asyncio.create_task(journal.handle(batch))
            await asyncio.sleep(0.004)
            await asyncio.to_thread(private_kafka.kill)
            with suppress(FencedError, UnsureError):
                await commit
        await asyncio.to_thread(private_kafka.start)
        if not journal.is_open:
            await journal.open()
        # Both: the broker may not have ended the first one either, and then its commands are delivered again.
        await journal.handle([bench.again(incoming) for incoming in (*first, *batch)])

    assert await bench.faults(accepted=2 * COMMANDS) == []


async def test_the_new_owner_cuts_the_old_one_off(bench: Bench) -> None:
    """A worker that was frozen longer than its session wakes up and goes on as if nothing had happened."""
    zombie_store = bench.store_path.with_name("zombie")
    batch = bench.orders(0, COMMANDS)
    async with bench.journal() as owner:
        bench.store_path, heirs_store = zombie_store, bench.store_path
        async with bench.journal() as zombie:
            await zombie.open()
            await zombie.handle(batch[:5])
            bench.store_path = heirs_store
            await owner.open()
            await owner.handle([bench.again(incoming) for incoming in batch])

            with pytest.raises((FencedError, UnsureError)):
                await zombie.handle([bench.again(incoming) for incoming in batch[5:]])
            assert not zombie.is_open

    assert await bench.faults(accepted=COMMANDS) == []
