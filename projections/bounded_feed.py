"""What a rebuild reads: every partition from where its own tables stand, and never past where it is told to stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka.tolerant_records import accept_any_header_name
from projections.feed import FETCH_BYTES_MAX, FETCH_WAIT_MS_MAX, START_TIMEOUT_S, Feed, Fetched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings import Settings
    from projections.writer import Move, Partition

accept_any_header_name()


class BoundedFeed(Feed):
    """A feed without a group: the partitions are given, and each is read up to an end that may be set farther later."""

    def __init__(self, settings: Settings, partitions: frozenset[Partition]) -> None:
        super().__init__(settings)
        self._partitions = partitions
        self._ends: dict[Partition, int] = dict.fromkeys(partitions, 0)

    def read_to(self, ends: Mapping[Partition, int]) -> None:
        """Read on, and stop before these offsets."""
        self._ends |= ends
        self._hold()

    async def start(self) -> None:
        """Connect and take the partitions. Raises KafkaError, TimeoutError, OSError."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            client_id=f"{self.topics.prefix}-rebuild",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS_MAX,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
        )
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._consumer.start()
        assigned = {TopicPartition(topic, number) for topic, number in self._partitions}
        self._consumer.assign(assigned)
        await self.on_partitions_assigned(assigned)

    def begin(self, positions: Mapping[Partition, int], generation: int) -> None:
        """See Feed."""
        super().begin(positions, generation)
        self._hold()

    async def fetch(self, timeout_ms: int) -> Fetched:
        """Return what came, as far as it lies before the ends. Raises KafkaError, LogReplacedError."""
        fetched = await super().fetch(timeout_ms)
        for move in fetched.moves:
            end = self._end(move)
            if move.reached > end:
                self._consumer.seek(TopicPartition(move.topic, move.partition), end)
                self._expected[move.topic, move.partition] = end
        self._hold()
        return Fetched(
            records=[
                record for record in fetched.records if record.offset < self._ends[record.topic, record.partition]
            ],
            moves=[
                replace(move, reached=min(move.reached, self._end(move)))
                for move in fetched.moves
                if move.expected < self._end(move)
            ],
        )

    def _end(self, move: Move) -> int:
        return self._ends[move.topic, move.partition]

    def _hold(self) -> None:
        """Fetch of those partitions alone that have not come to their end."""
        for (topic, number), reached in self._expected.items():
            partition = TopicPartition(topic, number)
            if reached < self._ends[topic, number]:
                self._consumer.resume(partition)
            else:
                self._consumer.pause(partition)
