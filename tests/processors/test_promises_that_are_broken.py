"""A broker that loses a transaction which it had promised: the commands are delivered again, by a new process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from domain.catalog.state import StillCatalogue
from domain.policies.settings import Policies
from infra.memory.log import MemoryLog
from infra.memory.sender import MemoryCommandSender
from processors.journal import Journal
from processors.worker import Delivery, PartitionWorker
from tests.processors.kit import OFFERS, TOPICS, Bench, buy_dune

DEADLINE_S = 60.0


class BreakingLog(MemoryLog):
    """Its broker dies after a promise, and is back without what it promised."""

    is_broken = False

    @property
    def is_sound(self) -> bool:
        return not self.is_broken

    async def fence(self) -> None:
        """Open it again, without the last transaction where the broker broke."""
        await super().fence()
        if self.is_broken:
            entries = self._topics._partition(TOPICS.events, 0).entries
            entries[:] = [None] * len(entries)
        self.is_broken = False


@dataclass
class Said:
    """The word of a command that is done."""

    is_done: asyncio.Event = field(default_factory=asyncio.Event)

    def ack(self) -> bool:
        """Say it."""
        self.is_done.set()
        return True


async def test_the_process_ends_so_that_they_are_delivered_again() -> None:
    bench, reasons, ended = Bench(), list[str](), asyncio.Event()
    log = BreakingLog(bench.topics, transactional_id="engine-0", partition=0, events_topic=TOPICS.events)

    def give_up(reason: str) -> None:
        reasons.append(reason)
        ended.set()

    worker = PartitionWorker(
        Journal(
            partition=0,
            log_of_partition=log,
            open_store=lambda: bench.store,
            topics=TOPICS,
            clock=bench.clock,
            catalogue=StillCatalogue(prices=OFFERS),
            policies=Policies(),
        ),
        sender=MemoryCommandSender(bench.topics, TOPICS.commands, partitions=1),
        is_assigned=lambda: True,
        give_up=give_up,
        timer_s=0.01,
    )
    await worker.open()
    said = Said()
    await worker.offer(Delivery(bench.incoming(buy_dune(), command_id="order"), said))
    async with asyncio.timeout(DEADLINE_S):
        await said.is_done.wait()
        log.is_broken = True
        await ended.wait()

    assert reasons[0] == "partition 0: the broker lost a transaction that it had promised"
    assert worker.next_command_offset is None, "whoever begins here begins with the lost command"
    await worker.close()
