"""All connections to the broker break at each request of a commit, before the broker has it and before it answers."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING

import pytest

from infra.kafka.fenced_log import FencedError, UnsureError
from tests.chaos.journal_harness import bench_on
from tests.chaos.proxy import ADD_PARTITIONS_TO_TXN, END_TXN, PRODUCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.proxy import Proxy

pytestmark = pytest.mark.chaos

COMMANDS = 20
REQUESTS = (ADD_PARTITIONS_TO_TXN, PRODUCE, END_TXN)
"""Of which a commit is made."""


async def test_no_cut_loses_or_doubles_a_command(proxied: Proxy, data_dir: Path) -> None:
    bench = await bench_on(f"127.0.0.1:{proxied.port}", data_dir)
    cuts = list(product(REQUESTS, (False, True)))
    async with bench.journal() as journal:
        await journal.open()
        for number, (request, has_arrived) in enumerate(cuts):
            batch = bench.orders(number * COMMANDS, COMMANDS)
            proxied.cut_at_next(request, has_arrived=has_arrived)
            with suppress(FencedError, UnsureError):
                await journal.handle(batch)
            assert proxied.cuts == number + 1
            if not journal.is_open:
                await journal.open()
            await journal.handle([bench.again(incoming) for incoming in batch])

    assert await bench.faults(accepted=COMMANDS * len(cuts)) == []
