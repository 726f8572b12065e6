"""An end of a transaction that arrives late must not end the next one: torn 0 of n, with the guard in the fenced log.

The same trial without the guard does tear a transaction, so the trial can tell.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from infra.kafka.fenced_log import FencedError, FencedLog, Record, UnsureError
from infra.kafka.log_reader import open_log
from infra.kafka.topics import Topics, create_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.proxy import Proxy

pytestmark = pytest.mark.chaos

ROUNDS = 5
RECORD_BYTES = 300_000
RECORDS = 6
"""A transaction of so many such records needs several batches, each in a request of its own."""
TOPICS = Topics("torn")
SETTLE_DEADLINE_S = 60


class UnguardedLog(FencedLog):
    """The same without noticing broken connections: what aiokafka alone does."""

    def _watch(self, producer: Any) -> None:
        pass


@asynccontextmanager
async def opened(kind: type[FencedLog], proxy: Proxy) -> AsyncIterator[FencedLog]:
    log = kind(
        bootstrap=f"127.0.0.1:{proxy.port}",
        transactional_id=kind.__name__,
        partition=0,
        events_topic=TOPICS.events,
    )
    try:
        yield log
    finally:
        await log.close()


def transaction(name: str) -> dict[str, list[Record]]:
    return {TOPICS.events: [Record(name.encode(), bytes(RECORD_BYTES), []) for _ in range(RECORDS)]}


async def committed(proxy: Proxy) -> dict[str, int]:
    """How many records of each transaction a reader of committed records sees."""
    found: dict[str, int] = {}
    async with open_log(f"127.0.0.1:{proxy.port}", TOPICS.events) as log:
        async for record in log.read():
            name = (record.key or b"").decode()
            found[name] = found.get(name, 0) + 1
    return found


async def trial(log: FencedLog, proxy: Proxy, rounds: int) -> list[str]:
    """Commit transactions, the end of every second one being late; the names of those that came out torn."""
    promised: list[str] = []
    await log.fence()
    for number in range(rounds):
        for name, is_late in ((f"first-{number}", True), (f"second-{number}", False)):
            if is_late:
                proxy.delay_next_end()
            if not log.is_sound:
                await log.fence()
            with suppress(FencedError, UnsureError):
                await log.commit(transaction(name))
                promised.append(name)
    await log.fence()  # whatever is still open is aborted, so that its fate is known
    found = await committed(proxy)
    torn = [name for name, count in found.items() if count != RECORDS]
    missing = [name for name in promised if name not in found]
    return torn + missing


@pytest.fixture
async def proxy(proxied: Proxy) -> Proxy:
    await create_topics(f"127.0.0.1:{proxied.port}", TOPICS, partitions=1)
    return proxied


async def test_a_late_end_tears_nothing(proxy: Proxy) -> None:
    async with opened(FencedLog, proxy) as log:
        torn = await trial(log, proxy, ROUNDS)

    assert torn == []
    assert proxy.delays == ROUNDS


async def test_without_the_guard_it_does(proxy: Proxy) -> None:
    async with opened(UnguardedLog, proxy) as log:
        torn = await trial(log, proxy, 1)

    assert torn == ["second-0"]
    assert proxy.delays == 1
