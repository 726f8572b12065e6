"""What the projector reads: the log and the commands, from where the read models stand.

Which partitions this process reads is agreed in a consumer group, so that projectors share them. Where it reads on is
never asked of the group: that stands in PostgreSQL, beside the rows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

from infra.kafka.tolerant_records import accept_any_header_name
from infra.kafka.topics import topics_of
from infra.logging import get_logger
from projections.writer import Move

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import ConsumerRecord

    from infra.settings import Settings
    from projections.writer import Partition

accept_any_header_name()
log = get_logger(__name__)

ROLE = "projector"
STOP_TIMEOUT_S = 5.0
START_TIMEOUT_S = 15.0
SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_INTERVAL_MS = 3_000
POLL_INTERVAL_MS_MAX = 600_000
"""Longer than the projector waits for a database that is away: meanwhile it does not poll."""
FETCH_WAIT_MS_MAX = 200
"""How long a fetch that finds nothing stays at the broker; one that finds a record comes back at once."""
FETCH_BYTES_MAX = 4 * 1024 * 1024
RECORDS_MAX = 5_000
"""Records in a batch: each costs some sixty journeys to the database, whatever is in it."""


class LogReplacedError(Exception):
    """The log ends before what has been projected from it: it is another log, or the broker lost data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Records in the order of their partitions, and the moves of positions that go with them."""

    records: list[ConsumerRecord]
    moves: list[Move]

    def halves(self) -> tuple[Fetched, Fetched]:
        """Return the first half of the records and the rest, each with its share of the moves."""
        middle = len(self.records) // 2
        first, second = self.records[:middle], self.records[middle:]
        ends = {(record.topic, record.partition): record.offset + 1 for record in first}
        begun = [
            replace(move, reached=ends[move.topic, move.partition])
            for move in self.moves
            if (move.topic, move.partition) in ends
        ]
        rest = [replace(move, expected=ends.get((move.topic, move.partition), move.expected)) for move in self.moves]
        return Fetched(records=first, moves=begun), Fetched(records=second, moves=rest)


class Feed(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """A member of the projectors' group. Positions are `expected` here as soon as records are handed out."""

    def __init__(self, settings: Settings) -> None:
        self.topics = topics_of(settings)
        self._settings = settings
        self._consumer: Any = None
        self._assigned: set[Partition] = set()
        self._expected: dict[Partition, int] = {}
        self._generation = 0

    async def start(self) -> None:
        """Join the group; topics that are not made yet are waited for. Raises KafkaError, TimeoutError, OSError."""
        settings = self._settings
        name = f"{self.topics.prefix}-{ROLE}-{settings.worker_id}"
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            client_id=name,
            group_id=f"{self.topics.prefix}.projector",
            group_instance_id=name,
            # Partition p of the commands and p of the log come to the same process: their rows meet in one table.
            partition_assignment_strategy=(RangePartitionAssignor,),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
            max_poll_interval_ms=POLL_INTERVAL_MS_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS_MAX,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
        )
        self._consumer.subscribe([self.topics.events, self.topics.commands], listener=self)
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._consumer.start()

    async def stop(self) -> None:
        """Leave the group; what the broker does not answer in time is abandoned."""
        consumer, self._consumer = self._consumer, None
        self._assigned, self._expected = set(), {}
        if consumer is None:
            return
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await consumer.stop()
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("projections.consumer.abandoned", error=repr(error))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Forget them. A batch of theirs that is being written is settled by comparing positions."""
        self._generation += 1
        self._assigned, self._expected = set(), {}

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Read nothing of them before it is known where they stand."""
        self._generation += 1
        self._assigned = {(tp.topic, tp.partition) for tp in assigned}
        self._expected = {}
        self._consumer.pause(*assigned)
        log.info("projections.partitions.assigned", partitions=sorted(f"{tp.topic} {tp.partition}" for tp in assigned))

    def partitions_of(self, topic: str) -> int:
        """Return how many partitions the topic has: the broker's word, not a setting, says where a key belongs."""
        return len(self._consumer.partitions_for_topic(topic))

    @property
    def generation(self) -> int:
        """A number that changes with each assignment."""
        return self._generation

    def waiting(self) -> set[Partition]:
        """Return the assigned partitions of which is not known where they stand."""
        return self._assigned - self._expected.keys()

    def begin(self, positions: Mapping[Partition, int], generation: int) -> None:
        """Read the partitions from these positions, unless they were assigned anew since the generation given."""
        if generation != self._generation:
            return
        for (topic, number), next_offset in positions.items():
            partition = TopicPartition(topic, number)
            self._consumer.seek(partition, next_offset)
            self._consumer.resume(partition)
        self._expected |= positions

    def forget(self) -> None:
        """Take back what was handed out: all positions are to be read again from the database."""
        self._expected = {}

    async def fetch(self, timeout_ms: int) -> Fetched:
        """Return what came, at once when something did. Raises KafkaError, LogReplacedError."""
        generation = self._generation
        fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=RECORDS_MAX)
        reached = await self._reached(generation)
        if generation != self._generation:
            return Fetched(records=[], moves=[])
        records: list[ConsumerRecord] = []
        moves: list[Move] = []
        for partition, next_offset in reached.items():
            topic, number = partition
            expected = self._expected[partition]
            found = fetched.get(TopicPartition(topic, number), ())
            if next_offset < expected or (found and found[0].offset < expected):
                raise LogReplacedError(
                    f"{topic} {number} is projected up to {expected}, and the broker's ends at {next_offset} or before"
                )
            if next_offset > expected:
                moves.append(Move(topic=topic, partition=number, expected=expected, reached=next_offset))
                records.extend(found)
        self._expected |= reached
        return Fetched(records=records, moves=moves)

    async def _reached(self, generation: int) -> dict[Partition, int]:
        """Return the consumer's positions. They pass the gaps that transactions leave, where no record stands."""
        reached: dict[Partition, int] = {}
        for topic, number in tuple(self._expected):
            try:
                reached[topic, number] = await self._consumer.position(TopicPartition(topic, number))
            except IllegalStateError:  # taken away while we asked
                return {}
            if generation != self._generation:
                return {}
        return reached

    def lag(self) -> dict[Partition, int]:
        """Return how many offsets each partition is behind the broker, as far as it told."""
        behind: dict[Partition, int] = {}
        for (topic, number), next_offset in self._expected.items():
            end = self._consumer.highwater(TopicPartition(topic, number))
            if end is not None:
                behind[topic, number] = max(0, end - next_offset)
        return behind
