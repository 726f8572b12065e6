"""A partition is taken away while it is being opened: nothing of it stays behind, and it can be taken again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from domain.catalog.state import StillCatalogue
from domain.policies.settings import Policies
from infra.kafka.command_sender import CommandSender
from infra.kafka.topics import Topics
from infra.memory.log import MemoryLog, MemoryTopics
from infra.rocksdb.store import open_store
from processors.journal import Journal
from processors.worker import PartitionWorker
from tests.chaos.journal_harness import HandClock
from tests.sample_log import OFFERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.chaos

TOPICS = Topics("billing")


class GatedLog(MemoryLog):
    """A log whose broker answers when the test lets it."""

    def __init__(self, topics: MemoryTopics) -> None:
        super().__init__(topics, transactional_id="engine-0", partition=0, events_topic=TOPICS.events)
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def fence(self) -> None:
        """Wait for the test."""
        self.asked.set()
        await self.answer.wait()
        await super().fence()


def worker(log: GatedLog, path: Path) -> PartitionWorker:
    journal = Journal(
        partition=0,
        log_of_partition=log,
        open_store=lambda: open_store(path),
        topics=TOPICS,
        clock=HandClock(),
        catalogue=StillCatalogue(prices=OFFERS),
        policies=Policies(),
    )

    def give_up(reason: str) -> None:
        raise AssertionError(reason)

    return PartitionWorker(
        journal,
        sender=CommandSender("127.0.0.1:1", TOPICS.commands, partitions=1),
        is_assigned=lambda: True,
        give_up=give_up,
    )


@pytest.mark.parametrize("is_late", [False, True], ids=["never answered", "answered as it is taken away"])
async def test_a_worker_that_is_closed_while_it_opens(data_dir: Path, is_late: bool) -> None:  # noqa: FBT001
    topics = MemoryTopics()
    log = GatedLog(topics)
    first = worker(log, data_dir / "store")
    opening = asyncio.create_task(first.open())
    await log.asked.wait()

    if is_late:
        log.answer.set()
    await first.close()
    await opening
    log.answer.set()

    assert not first.is_running
    assert first.next_command_offset is None
    again = GatedLog(topics)
    again.answer.set()
    second = worker(again, data_dir / "store")  # the store would refuse a second owner
    await second.open()
    assert second.is_running
    await second.close()
    assert not second.is_running


async def test_a_worker_that_is_closed_before_it_opens(data_dir: Path) -> None:
    log = GatedLog(MemoryTopics())
    log.answer.set()
    closed = worker(log, data_dir / "store")
    await closed.close()

    await closed.open()

    assert not closed.is_running
