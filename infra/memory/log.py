"""A log in memory with the contract of the one on Kafka: one writer a partition, all or nothing, trouble on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from infra.kafka.fenced_log import FencedError, Record, UnsureError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence


class Trouble(StrEnum):
    """What happens to the next commit."""

    LOST = "lost"
    """It does not happen, and the writer is not told."""
    UNANSWERED = "unanswered"
    """It happens, and the writer is not told."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as a reader gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class MemoryTopics:
    """All topics, and who may write which transactional id."""

    records: dict[tuple[str, int], list[StoredRecord]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    """Taken one by one, by each commit that comes."""

    def append(self, topic: str, partition: int, record: Record) -> int:
        """Add a record and return its offset."""
        stored = self.records.setdefault((topic, partition), [])
        offset = len(stored)
        stored.append(StoredRecord(topic, partition, offset, record.key, record.value, tuple(record.headers)))
        return offset

    def read(self, topic: str, partition: int, first_offset: int = 0) -> list[StoredRecord]:
        """Return the records from an offset on."""
        return self.records.get((topic, partition), [])[first_offset:]


class MemoryLog:
    """The write side of one partition number."""

    def __init__(self, topics: MemoryTopics, *, transactional_id: str, partition: int, events_topic: str) -> None:
        self._topics = topics
        self._transactional_id = transactional_id
        self._partition = partition
        self._events_topic = events_topic
        self._epoch = -1

    async def fence(self) -> None:
        """Become the only writer."""
        self._epoch = self._topics.epochs.get(self._transactional_id, -1) + 1
        self._topics.epochs[self._transactional_id] = self._epoch

    async def read(self, first_offset: int) -> AsyncIterator[tuple[list[StoredRecord], int]]:
        """Yield the events from an offset to the present end. Raises LookupError when it is beyond the end."""
        end = len(self._topics.read(self._events_topic, self._partition))
        if first_offset > end:
            raise LookupError(f"offset {first_offset} is beyond the end {end} of the log")
        if first_offset < end:
            yield self._topics.read(self._events_topic, self._partition, first_offset), end

    async def commit(self, batches: Mapping[str, Sequence[Record]]) -> int:
        """Write all or nothing and return the offset of the last event, -1 where none was.

        Raises FencedError, UnsureError.
        """
        if self._topics.epochs.get(self._transactional_id) != self._epoch:
            raise FencedError(self._transactional_id)
        trouble = self._topics.troubles.pop(0) if self._topics.troubles else None
        if trouble is Trouble.LOST:
            raise UnsureError("the connection broke")
        last = -1
        for topic, records in batches.items():
            for record in records:
                offset = self._topics.append(topic, self._partition, record)
                if topic == self._events_topic:
                    last = offset
        if trouble is Trouble.UNANSWERED:
            raise UnsureError("the answer was lost")
        return last

    async def close(self) -> None:
        """Nothing to let go of."""
