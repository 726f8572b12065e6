"""How far the consumer groups are, and what lies in the dead letters: read beside everything, changing nothing."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka.tolerant_records import accept_any_header_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiokafka import ConsumerRecord

    from infra.kafka.topics import Topics

accept_any_header_name()
LETTERS_MAX = 1_000
"""Dead letters that are read at most of each partition, the newest; older ones are only on their topic."""
_READ_S_MAX = 2.0
_POLL_MS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStanding:
    """How far the workers of one role are behind the topic that they read."""

    role: str
    topic: str
    behind: int
    """Records that were not taken yet, as far as offsets tell."""
    waits_for: timedelta | None
    """How long the oldest of them has been there; None where nothing waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSeen:
    """A record that some role could not take, without its content."""

    partition: int
    offset: int
    """Where the letter lies on its own topic."""
    at: datetime
    """By the broker's clock."""
    role: str
    topic: str
    position: str
    """`<partition>:<offset>` on the topic on which it came."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the broker knows about the work that is done on it."""

    groups: tuple[GroupStanding, ...]
    letters: tuple[DeadLetterSeen, ...]
    """The dead letters of the time asked for, oldest first."""


async def read_standing(bootstrap: str, topics: Topics, *, letters_of: timedelta) -> Standing:
    """Ask the broker. Raises KafkaError, OSError; the caller sets the deadline."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    async with _consumer(bootstrap) as consumer:
        roles = (
            ("engine", f"{topics.prefix}-engine", topics.commands),
            ("gateway", f"{topics.prefix}.gateway", topics.effects),
        )
        try:
            await admin.start()
            groups = [await _group(consumer, admin, *role) for role in roles]
        finally:
            await admin.close()
        letters = await _letters(consumer, topics.dead_letters, letters_of)
        return Standing(groups=tuple(groups), letters=letters)


async def read_letters(bootstrap: str, topics: Topics, *, letters_of: timedelta) -> tuple[DeadLetterSeen, ...]:
    """Return the dead letters of the time before now, oldest first. Raises as `read_standing` does."""
    async with _consumer(bootstrap) as consumer:
        return await _letters(consumer, topics.dead_letters, letters_of)


@asynccontextmanager
async def _consumer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of what is committed, in no group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _group(consumer: Any, admin: Any, role: str, group: str, topic: str) -> GroupStanding:
    ends = await _ends(consumer, topic)
    beginnings = await consumer.beginning_offsets(list(ends)) if ends else {}
    committed = await admin.list_consumer_group_offsets(group, partitions=list(ends))
    left: dict[TopicPartition, int] = {}
    for partition, end in ends.items():
        known = committed.get(partition)
        begin = beginnings[partition] if known is None or known.offset < 0 else known.offset
        if begin < end:
            left[partition] = begin
    oldest = await _oldest(consumer, left, ends)
    if oldest is None:  # what is left are the marks of transactions
        return GroupStanding(role=role, topic=topic, behind=0, waits_for=None)
    behind = sum(ends[partition] - begin for partition, begin in left.items())
    waits_for = timedelta(milliseconds=max(0, time.time_ns() // 1_000_000 - oldest))
    return GroupStanding(role=role, topic=topic, behind=behind, waits_for=waits_for)


async def _oldest(consumer: Any, left: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> int | None:
    """Return the time (ms) of the oldest record that is left; None where there is none."""
    found: list[int] = []
    for records in (await _read(consumer, left, ends, each=1)).values():
        found += [record.timestamp for record in records[:1]]
    return min(found, default=None)


async def _letters(consumer: Any, topic: str, letters_of: timedelta) -> tuple[DeadLetterSeen, ...]:
    ends = await _ends(consumer, topic)
    since_ms = time.time_ns() // 1_000_000 - letters_of // timedelta(milliseconds=1)
    begins = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms)) if ends else {}
    starts = {
        partition: max(found.offset, ends[partition] - LETTERS_MAX)
        for partition, found in begins.items()
        if found is not None
    }
    records = await _read(consumer, starts, ends, each=LETTERS_MAX)
    letters = [_letter(record) for of_partition in records.values() for record in of_partition]
    return tuple(sorted(letters, key=attrgetter("at", "partition", "offset")))


async def _read(
    consumer: Any, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], *, each: int
) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
    """Read from the starts to the ends, so many records of each partition, for a bounded time."""
    found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {partition: [] for partition in starts}
    left = {partition for partition, start in starts.items() if start < ends[partition]}
    if not left:
        return found
    consumer.assign(list(left))
    for partition in left:
        consumer.seek(partition, starts[partition])
    deadline = time.monotonic() + _READ_S_MAX
    while left and time.monotonic() < deadline:
        for partition, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
            found[partition] += [record for record in records if record.offset < ends[partition]]
        for partition in tuple(left):
            if len(found[partition]) >= each or await consumer.position(partition) >= ends[partition]:
                left.discard(partition)
    return found


async def _ends(consumer: Any, topic: str) -> dict[TopicPartition, int]:
    """Return where the topic's partitions end; nothing where there is no such topic."""
    if topic not in await consumer.topics():
        return {}
    await consumer.beginning_offsets([TopicPartition(topic, 0)])  # makes the client learn the topic's partitions
    numbers = sorted(consumer.partitions_for_topic(topic) or ())
    ends: dict[TopicPartition, int] = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
    return ends


def _letter(record: ConsumerRecord[bytes, bytes]) -> DeadLetterSeen:
    told = {name: value.decode("utf-8", "replace") for name, value in record.headers if name.startswith("dead_letter_")}
    return DeadLetterSeen(
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        role=told.get("dead_letter_by", "somebody"),
        topic=told.get("dead_letter_topic", ""),
        position=f"{told.get('dead_letter_partition', '')}:{told.get('dead_letter_offset', '')}",
        reason=told.get("dead_letter_reason", ""),
    )
