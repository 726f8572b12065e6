"""All connections to the broker break while a batch is committed: before its records, before its end, and after it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from infra.kafka.fenced_log import FencedError, UnsureError
from infra.kafka.topics import Topics, create_topics
from tests.chaos.journal_harness import Bench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.proxy import Proxy

pytestmark = pytest.mark.chaos

COMMANDS = 20
CUTS = 12
STEP_S = 0.001
"""Each commit is cut a little later than the one before; the last ones are through when the cut comes."""


async def test_no_cut_loses_or_doubles_a_command(proxied: Proxy, data_dir: Path) -> None:
    topics, bootstrap = Topics("cut"), f"127.0.0.1:{proxied.port}"
    await create_topics(bootstrap, topics, partitions=1)
    bench = Bench(bootstrap=bootstrap, topics=topics, store_path=data_dir / "store" / "0", partitions=1)
    broken = 0
    async with bench.journal() as journal:
        for number in range(CUTS):
            batch = bench.orders(number * COMMANDS, COMMANDS)
            if not journal.is_open:
                await journal.open()
            commit = asyncio.create_task(journal.handle(batch))
            await asyncio.sleep(number * STEP_S)
            await proxied.cut()
            with suppress(FencedError, UnsureError):
                await commit
            if not journal.is_open:
                broken += 1
                await journal.open()
            await journal.handle([bench.again(incoming) for incoming in batch])

    assert broken
    assert await bench.faults(accepted=COMMANDS * CUTS) == []
