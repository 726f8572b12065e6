"""All connections to the broker break while a batch is committed: before its records, before its end, and after it."""

from __future__ import annotations

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
"""Each commit is cut a step later than the one before; the last ones are through before the cut comes."""


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
            proxied.cut_at(number)
            with suppress(FencedError, UnsureError):
                await journal.handle(batch)
            if proxied.cancel_cut():
                await proxied.cut()
            if not journal.is_open:
                broken += 1
                await journal.open()
            await journal.handle([bench.again(incoming) for incoming in batch])

    assert broken
    assert await bench.faults(accepted=COMMANDS * CUTS) == []
