"""The broker is killed the moment it has promised a commit, before it has told the partitions so.

A broker alone may then forget to tell them: it starts, its partitions have no leader for a moment, and it takes them
for deleted. The transaction is neither committed nor aborted there, and whoever reads only what is committed waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from infra.kafka.fenced_log import UnsureError
from tests.chaos.journal_harness import Bench, bench_on

if TYPE_CHECKING:
    from pathlib import Path

    from infra.embedded.kafka import EmbeddedKafka
    from processors.decisions import Incoming
    from processors.journal import Journal

pytestmark = pytest.mark.chaos

KILLS = 4
"""Not every one of them comes in time."""
COMMANDS = 20


async def decide(journal: Journal, bench: Bench, sent: list[Incoming]) -> None:
    """As the engine does: after an unsure end the log is opened again, and all that came is decided that was not."""
    try:
        if not journal.is_open:
            await journal.open()
        await journal.handle([bench.again(incoming) for incoming in sent])
    except UnsureError:
        await journal.open()
        await journal.handle([bench.again(incoming) for incoming in sent])


async def test_the_next_owner_finds_each_command_decided_once(private_kafka: EmbeddedKafka, data_dir: Path) -> None:
    bench = await bench_on(private_kafka.bootstrap, data_dir)
    sent: list[Incoming] = []
    for number in range(KILLS):
        async with bench.journal() as journal:
            await decide(journal, bench, sent)
            batch = bench.orders(number * COMMANDS, COMMANDS)
            await journal.handle(batch)
            private_kafka.kill()
            sent += batch
        await asyncio.to_thread(private_kafka.start)
    async with bench.journal() as journal:
        await decide(journal, bench, sent)

    assert await bench.faults(accepted=COMMANDS * KILLS) == []


async def test_the_same_owner_goes_on(private_kafka: EmbeddedKafka, data_dir: Path) -> None:
    bench = await bench_on(private_kafka.bootstrap, data_dir)
    sent: list[Incoming] = []
    async with bench.journal() as journal:
        await journal.open()
        for number in range(KILLS):
            batch = bench.orders(number * COMMANDS, COMMANDS)
            await journal.handle(batch)
            private_kafka.kill()
            await asyncio.to_thread(private_kafka.start)
            sent += batch
            await decide(journal, bench, [*sent, *bench.orders(1_000 + number, 1)])
            assert len(await bench.read(bench.topics.effects)) == len(sent) + number + 1, "nothing is held back"

    assert await bench.faults(accepted=(COMMANDS + 1) * KILLS) == []
