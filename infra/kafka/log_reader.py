"""Reading a topic back from its beginning to where it ends now: for audits, exports and rebuilds, never for deciding.

Only what is committed is read, in the order of each partition, record by record, so that memory stays bounded
whatever the length of the log. Nothing is interpreted here: records come as raw bytes, since an audit has to hash what
is really there.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from infra.kafka.tolerant_records import accept_any_header_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from aiokafka import ConsumerRecord

accept_any_header_name()
SILENCE_S_MAX = 75.0
"""How long the broker may stay silent before reading is given up: longer than an open transaction can live."""
_POLL_MS = 250
_FETCH_BYTES_MAX = 1024 * 1024
_BATCH_RECORDS_MAX = 1_000
_partitioner = DefaultPartitioner()


class LogReadError(Exception):
    """The log could not be read to its end; the text says where it stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record as the broker keeps it, byte for byte."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def position(self) -> str:
        """`<partition>:<offset>`, as the API and the command line name a place in the log."""
        return f"{self.partition}:{self.offset}"


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key among so many, by the rule that every producer of ours follows (murmur2, as in Java)."""
    chosen: int = _partitioner(key, list(range(partitions)), [])
    return chosen


class LogReader:
    """A topic, opened for reading it back. Make one with `open_log`."""

    def __init__(
        self, consumer: AIOKafkaConsumer, topic: str, partitions: tuple[int, ...], silence_s_max: float
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._silence_s_max = silence_s_max
        self.partitions = partitions

    async def end_offsets(self, partitions: Iterable[int] | None = None) -> dict[int, int]:
        """The offset after the last committed record of each partition, as of now."""
        chosen = [TopicPartition(self._topic, p) for p in (self.partitions if partitions is None else partitions)]
        try:
            ends = await self._consumer.end_offsets(chosen)
        except KafkaError as error:
            raise LogReadError(f"the broker does not say where {self._topic} ends: {error}") from error
        return {tp.partition: end for tp, end in ends.items()}

    async def beginning_offsets(self) -> dict[int, int]:
        """The offset of the oldest record that is kept of each partition."""
        try:
            begun = await self._consumer.beginning_offsets([TopicPartition(self._topic, p) for p in self.partitions])
        except KafkaError as error:
            raise LogReadError(f"the broker does not say where {self._topic} begins: {error}") from error
        return {tp.partition: offset for tp, offset in begun.items()}

    async def read(
        self,
        *,
        key: bytes | None = None,
        partitions: Iterable[int] | None = None,
        start: int | None = None,
        ends: dict[int, int] | None = None,
    ) -> AsyncIterator[LogRecord]:
        """Yield every committed record that was there when reading began.

        With a `key`: only its records, from its partition alone. `start` is the offset to begin at (else the oldest
        one kept); `ends` the offsets to stop before, where they are known already. One reading at a time.
        Raises LogReadError when the broker stays silent.
        """
        if key is not None:
            partitions = (partition_of(key, len(self.partitions)),)
        chosen = self.partitions if partitions is None else tuple(partitions)
        if ends is None:
            ends = await self.end_offsets(chosen)
        wanted = [TopicPartition(self._topic, partition) for partition in chosen]
        self._consumer.assign(wanted)
        left = await self._seek(wanted, start, ends)
        heard_at = monotonic()
        while left:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS_MAX)
            for tp, records in batches.items():
                for record in records:
                    if record.offset >= ends[tp.partition]:
                        break
                    if key is None or record.key == key:
                        yield _record(record)
            positions = {tp: await self._position(tp) for tp in left}
            if positions != left:
                heard_at = monotonic()
            left = {tp: position for tp, position in positions.items() if position < ends[tp.partition]}
            self._consumer.pause(*(tp for tp in wanted if tp not in left))
            if left and monotonic() - heard_at > self._silence_s_max:
                raise LogReadError(self._silence(left, ends))

    async def _seek(
        self, wanted: list[TopicPartition], start: int | None, ends: dict[int, int]
    ) -> dict[TopicPartition, int]:
        """Go to the beginning; the partitions in which there is something to read, with their positions."""
        beginnings = await self.beginning_offsets()
        left = {}
        for tp in wanted:
            position = max(beginnings[tp.partition], start or 0)
            self._consumer.seek(tp, position)
            if position < ends[tp.partition]:
                left[tp] = position
            else:
                self._consumer.pause(tp)
        return left

    async def _position(self, tp: TopicPartition) -> int:
        position: int = await self._consumer.position(tp)
        return position

    def _silence(self, left: dict[TopicPartition, int], ends: dict[int, int]) -> str:
        places = ", ".join(f"{tp.partition}:{position} of {ends[tp.partition]}" for tp, position in left.items())
        return f"nothing came from {self._topic} for {self._silence_s_max:.0f} s; reading stopped at {places}"


@asynccontextmanager
async def open_log(
    bootstrap: str, topic: str, *, silence_s_max: float = SILENCE_S_MAX
) -> AsyncGenerator[LogReader, None]:
    """Open a topic for reading it back. Raises LogReadError when the broker or the topic cannot be reached."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES_MAX,
    )
    try:
        await consumer.start()
        # Asking for a topic by name that does not exist would be repeated for ever, so the list is looked at first.
        if topic not in await consumer.topics():
            raise LogReadError(f"there is no topic {topic} at {bootstrap}")
        await consumer.beginning_offsets([TopicPartition(topic, 0)])  # makes the client learn the topic's partitions
        partitions = tuple(sorted(consumer.partitions_for_topic(topic)))
    except (KafkaError, OSError, LogReadError) as error:
        await consumer.stop()
        if isinstance(error, LogReadError):
            raise
        raise LogReadError(f"the broker at {bootstrap} cannot be reached: {error}") from error
    try:
        yield LogReader(consumer, topic, partitions, silence_s_max)
    finally:
        await consumer.stop()


def _record(record: ConsumerRecord) -> LogRecord:
    return LogRecord(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )
