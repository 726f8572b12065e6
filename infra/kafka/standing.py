"""How far the consumer groups are, and what lies in the dead letters: read beside everything, changing nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka.tolerant_records import accept_any_header_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aiokafka import ConsumerRecord

    from infra.kafka.topics import Topics

    _Found = dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]

accept_any_header_name()
LETTERS_MAX = 1_000
"""Dead letters that are read at most of each partition, the newest; older ones are only on their topic."""
READ_S_MAX = 2.0
ANSWER_DEADLINE_S = 5.0
"""What whoever waits for an answer gives the broker."""
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


class Unread(NamedTuple):
    """Offsets on the topic of dead letters, `end` not among them, of which is not known what lies there."""

    partition: int
    begin: int
    end: int


class Letters(NamedTuple):
    """Dead letters, oldest first, and where more may lie: too many, or they could not be read in time."""

    seen: tuple[DeadLetterSeen, ...]
    unread: tuple[Unread, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the broker knows about the work that is done on it."""

    groups: tuple[GroupStanding, ...]
    letters: Letters
    """The dead letters of the time asked for."""


async def read_standing(bootstrap: str, topics: Topics, *, letters_of: timedelta) -> Standing:
    """Ask the broker. Raises KafkaError, OSError; the caller sets the deadline.

    All offsets are asked for before anything is read: what is asked after a fetch waits behind it on the connection.
    """
    consumer, admin = _consumer(bootstrap), AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await consumer.start()
        await admin.start()
        there = await consumer.topics()
        engine = await _left(consumer, admin, f"{topics.prefix}-engine", topics.commands, there)
        gateway = await _left(consumer, admin, f"{topics.prefix}.gateway", topics.effects, there)
        letters = await _since(consumer, topics.dead_letters, letters_of, there)
        read = await _read(consumer, (*engine, *gateway, *letters))
        return Standing(
            groups=(
                _standing("engine", topics.commands, engine, read),
                _standing("gateway", topics.effects, gateway, read),
            ),
            letters=_letters(letters, read),
        )
    finally:
        await consumer.stop()
        await admin.close()


async def read_letters(
    bootstrap: str, topics: Topics, *, letters_of: timedelta, within_s: float = READ_S_MAX
) -> Letters:
    """Return the dead letters of the last time, as far as they can be read in a bounded time.

    Raises KafkaError, OSError; the caller sets the deadline.
    """
    consumer = _consumer(bootstrap)
    try:
        await consumer.start()
        letters = await _since(consumer, topics.dead_letters, letters_of, await consumer.topics())
        return _letters(letters, await _read(consumer, letters, within_s))
    finally:
        await consumer.stop()


def _consumer(bootstrap: str) -> AIOKafkaConsumer:
    """A reader of what is committed, in no group."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_POLL_MS,
    )


class _Stretch(NamedTuple):
    """A part of a partition that is to be read."""

    partition: TopicPartition
    begin: int
    end: int
    records_max: int
    wanted: int
    """Where it should begin; what lies between that and `begin` is too much to be read."""


class _Read(NamedTuple):
    """What was found, and where reading came to."""

    found: _Found
    reached: dict[TopicPartition, int]


async def _left(consumer: Any, admin: Any, group: str, topic: str, there: Collection[str]) -> tuple[_Stretch, ...]:
    """Return what a group has not taken yet; of each partition the oldest record is enough."""
    ends = await _ends(consumer, topic, there)
    if not ends:
        return ()
    beginnings = await consumer.beginning_offsets(list(ends))
    committed = await admin.list_consumer_group_offsets(group, partitions=list(ends))
    left: list[_Stretch] = []
    for partition, end in ends.items():
        known = committed.get(partition)
        begin = beginnings[partition] if known is None or known.offset < 0 else known.offset
        left.append(_Stretch(partition, begin, end, 1, begin))
    return tuple(stretch for stretch in left if stretch.begin < stretch.end)


async def _since(consumer: Any, topic: str, period: timedelta, there: Collection[str]) -> tuple[_Stretch, ...]:
    """Return what came on a topic in the last time, the newest of each partition."""
    ends = await _ends(consumer, topic, there)
    if not ends:
        return ()
    since_ms = time.time_ns() // 1_000_000 - period // timedelta(milliseconds=1)
    begins = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
    return tuple(
        _Stretch(
            partition, max(found.offset, ends[partition] - LETTERS_MAX), ends[partition], LETTERS_MAX, found.offset
        )
        for partition, found in begins.items()
        if found is not None and found.offset < ends[partition]
    )


async def _ends(consumer: Any, topic: str, there: Collection[str]) -> dict[TopicPartition, int]:
    """Return where the topic's partitions end; nothing where there is no such topic."""
    if topic not in there:
        return {}
    await consumer.beginning_offsets([TopicPartition(topic, 0)])  # makes the client learn the topic's partitions
    numbers = sorted(consumer.partitions_for_topic(topic) or ())
    ends: dict[TopicPartition, int] = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
    return ends


async def _read(consumer: Any, stretches: Sequence[_Stretch], within_s: float = READ_S_MAX) -> _Read:
    """Read so many records of each stretch, for a bounded time."""
    found: _Found = {stretch.partition: [] for stretch in stretches}
    reached = {stretch.partition: stretch.begin for stretch in stretches}
    left = {stretch.partition: stretch for stretch in stretches}
    if not left:
        return _Read(found, reached)
    consumer.assign(list(left))
    for stretch in stretches:
        consumer.seek(stretch.partition, stretch.begin)
    deadline = time.monotonic() + within_s
    while left and time.monotonic() < deadline:
        for partition, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
            found[partition] += [
                record for record in records if partition in left and record.offset < left[partition].end
            ]
        for partition, stretch in tuple(left.items()):
            reached[partition] = await consumer.position(partition)
            if len(found[partition]) >= stretch.records_max or reached[partition] >= stretch.end:
                del left[partition]
                consumer.pause(partition)
    return _Read(found, reached)


def _standing(role: str, topic: str, left: Sequence[_Stretch], read: _Read) -> GroupStanding:
    oldest = [read.found[stretch.partition][0].timestamp for stretch in left if read.found[stretch.partition]]
    if not oldest:  # what is left are the marks of transactions
        return GroupStanding(role=role, topic=topic, behind=0, waits_for=None)
    behind = sum(stretch.end - stretch.begin for stretch in left)
    waits_for = timedelta(milliseconds=max(0, time.time_ns() // 1_000_000 - min(oldest)))
    return GroupStanding(role=role, topic=topic, behind=behind, waits_for=waits_for)


def _letters(stretches: Sequence[_Stretch], read: _Read) -> Letters:
    letters = [_letter(record) for stretch in stretches for record in read.found[stretch.partition]]
    gaps = [
        Unread(partition.partition, begin, end)
        for partition, first, last, _, wanted in stretches
        for begin, end in ((wanted, first), (read.reached[partition], last))
        if begin < end
    ]
    return Letters(tuple(sorted(letters, key=attrgetter("at", "partition", "offset"))), tuple(gaps))


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
