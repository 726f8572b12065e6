"""Topics in memory with the contract of Kafka's: transactions, one writer by epoch, markers, and trouble on demand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from infra.kafka.fenced_log import FencedError, Record, UnsureError
from infra.memory.weather import GOOD_WEATHER, Weather

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

LATE_END_S = 5.0
"""After how long the end of a transaction arrives whose connection broke."""


class Trouble(StrEnum):
    """What happens to the next commit."""

    LOST = "lost"
    """It does not happen, and the writer is not told."""
    UNANSWERED = "unanswered"
    """It happens, and the writer is not told."""


class StoredRecord(NamedTuple):
    """A record as a reader gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class _Partition:
    """What one partition of a topic holds, by offset; None stands for a marker and for what was aborted."""

    entries: list[StoredRecord | None] = field(default_factory=list)
    open: dict[str, list[int]] = field(default_factory=dict)
    """Offsets of transactions that have not ended, by transactional id."""

    @property
    def stable_end(self) -> int:
        """Where a reader of what is committed stops: the begin of the oldest open transaction."""
        if not self.open:
            return len(self.entries)
        return min(offsets[0] for offsets in self.open.values())


@dataclass(slots=True)
class MemoryTopics:
    """All topics, and who may write which transactional id."""

    epochs: dict[str, int] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    """Taken one by one, by each commit that comes."""
    listeners: list[Callable[[str, int], None]] = field(default_factory=list)
    """Called with topic and partition whenever there may be something new to read there."""
    _partitions: dict[tuple[str, int], _Partition] = field(default_factory=dict)

    def append(self, topic: str, partition: int, record: Record) -> int:
        """Add a record outside of any transaction and return its offset."""
        offset = self._add(self._partition(topic, partition), topic, partition, record)
        self._tell(topic, partition)
        return offset

    def append_in(self, transactional_id: str, epoch: int, topic: str, partition: int, record: Record) -> int:
        """Add a record to the open transaction and return its offset. Raises FencedError."""
        self._require(transactional_id, epoch)
        held = self._partition(topic, partition)
        offset = self._add(held, topic, partition, record)
        held.open.setdefault(transactional_id, []).append(offset)
        return offset

    def end(self, transactional_id: str, epoch: int, *, is_committed: bool) -> None:
        """End the open transaction, where there is one. Raises FencedError."""
        self._require(transactional_id, epoch)
        for (topic, partition), held in self._partitions.items():
            offsets = held.open.pop(transactional_id, None)
            if offsets is None:
                continue
            if not is_committed:
                self._abort(held, offsets)
            held.entries.append(None)
            self._tell(topic, partition)

    def fence(self, transactional_id: str) -> int:
        """Cut every earlier writer off, abort what it left open, and return the new writer's epoch."""
        epoch = self.epochs.get(transactional_id, -1)
        if epoch >= 0:
            self.end(transactional_id, epoch, is_committed=False)
        self.epochs[transactional_id] = epoch + 1
        return epoch + 1

    def read(self, topic: str, partition: int, first_offset: int = 0, limit: int | None = None) -> list[StoredRecord]:
        """Return what is committed, from an offset on."""
        held = self._partitions.get((topic, partition))
        if held is None:
            return []
        stable_end = held.stable_end if held.open else len(held.entries)
        if first_offset >= stable_end:
            return []
        end = stable_end if limit is None else min(stable_end, first_offset + limit)
        records = [record for record in held.entries[first_offset:end] if record is not None]
        if limit is not None and not records and end < stable_end:  # nothing but markers there
            return self.read(topic, partition, end, limit)
        return records

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset behind the last one that may be read."""
        held = self._partitions.get((topic, partition))
        return 0 if held is None else held.stable_end

    def count(self) -> int:
        """Return how much was ever written, markers among it."""
        return sum(len(held.entries) for held in self._partitions.values())

    def _require(self, transactional_id: str, epoch: int) -> None:
        if self.epochs.get(transactional_id) != epoch:
            raise FencedError(transactional_id)

    def _partition(self, topic: str, partition: int) -> _Partition:
        return self._partitions.setdefault((topic, partition), _Partition())

    def _add(self, held: _Partition, topic: str, partition: int, record: Record) -> int:
        offset = len(held.entries)
        held.entries.append(StoredRecord(topic, partition, offset, record.key, record.value, tuple(record.headers)))
        return offset

    def _abort(self, held: _Partition, offsets: Sequence[int]) -> None:
        for offset in offsets:
            held.entries[offset] = None

    def _tell(self, topic: str, partition: int) -> None:
        for listener in self.listeners:
            listener(topic, partition)


class MemoryLog:
    """The write side of one partition number."""

    def __init__(
        self,
        topics: MemoryTopics,
        *,
        transactional_id: str,
        partition: int,
        events_topic: str,
        weather: Weather = GOOD_WEATHER,
    ) -> None:
        self._topics = topics
        self._transactional_id = transactional_id
        self._partition = partition
        self._events_topic = events_topic
        self._weather = weather
        self._epoch = -1

    async def fence(self) -> None:
        """Become the only writer. Raises UnsureError when the broker does not answer."""
        await self._weather.pause("log.fence")
        if self._weather.strikes("log.fence.lost"):
            raise UnsureError("the broker did not answer")
        self._epoch = self._topics.fence(self._transactional_id)
        await self._weather.pause("log.fenced")

    @property
    def is_sound(self) -> bool:
        """Whatever happens to the network of this broker is told at once."""
        return True

    async def read(self, first_offset: int) -> AsyncIterator[tuple[list[StoredRecord], int]]:
        """Yield the events from an offset to the present end. Raises LookupError when it is beyond the end."""
        end = self._topics.end_offset(self._events_topic, self._partition)
        if first_offset > end:
            raise LookupError(f"offset {first_offset} is beyond the end {end} of the log")
        if first_offset < end:
            records = self._topics.read(self._events_topic, self._partition, first_offset)
            await self._weather.pause("log.read")
            if self._weather.strikes("log.read.lost"):
                raise UnsureError("the broker did not answer")
            yield records, end

    async def commit(self, batches: Mapping[str, Sequence[Record]]) -> int:
        """Write all or nothing and return the offset of the last event, -1 where none was.

        Raises FencedError, UnsureError.
        """
        topics, weather = self._topics, self._weather
        trouble = topics.troubles.pop(0) if topics.troubles else None
        last = -1
        for topic, records in batches.items():
            await weather.pause("log.append")
            for record in records:
                offset = topics.append_in(self._transactional_id, self._epoch, topic, self._partition, record)
                if topic == self._events_topic:
                    last = offset
        await weather.pause("log.end")
        if trouble is Trouble.LOST or weather.strikes("log.commit.lost"):
            raise UnsureError("the connection broke")
        if weather.strikes("log.commit.late"):
            asyncio.get_running_loop().call_later(LATE_END_S, self._end_late, self._epoch)
            raise UnsureError("the connection broke, and the request is on its way")
        topics.end(self._transactional_id, self._epoch, is_committed=True)
        await weather.pause("log.ended")
        if trouble is Trouble.UNANSWERED or weather.strikes("log.commit.unanswered"):
            raise UnsureError("the answer was lost")
        return last

    async def close(self) -> None:
        """Nothing to let go of: what is not committed is aborted by the next owner."""

    def _end_late(self, epoch: int) -> None:
        """A request of an old connection arrives: the broker knows it by its epoch."""
        if self._topics.epochs.get(self._transactional_id) == epoch:
            self._topics.end(self._transactional_id, epoch, is_committed=True)
