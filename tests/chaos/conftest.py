"""Fixtures of the tests that break things on purpose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from infra.embedded.process import free_port
from tests.chaos.journal_harness import Bench
from tests.chaos.proxy import ProxiedKafka, Proxy
from tests.conftest import PARTITIONS
from tests.stack import scratch_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from infra.kafka.topics import Topics
    from tests.stack import Stack


@pytest.fixture
def bench(stack: Stack, topics: Topics, data_dir: Path) -> Bench:
    """One partition on the shared broker, with topics and a store of its own."""
    return Bench(
        bootstrap=stack.kafka_bootstrap, topics=topics, store_path=data_dir / "store" / "0", partitions=PARTITIONS
    )


@pytest.fixture
async def proxied() -> AsyncIterator[Proxy]:
    """The proxy in front of a broker of one's own, which is reached only through it."""
    with scratch_dir() as data_dir:
        proxy_port = free_port()
        kafka = ProxiedKafka(data_dir, proxy_port=proxy_port)
        proxy = Proxy(proxy_port, kafka.port)
        await proxy.start()
        await asyncio.to_thread(kafka.start)
        try:
            yield proxy
        finally:
            await asyncio.to_thread(kafka.kill)
            await proxy.stop()
