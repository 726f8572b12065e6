"""One partition of our log on Kafka, owned by one writer at a time, written one transaction a batch.

Opening it bumps the epoch of its transactional id: every earlier owner is cut off and its open transaction aborted.
Only after that is the log read, so that nobody else can append behind the reader's back.

A broker that is killed between its promise of a commit and the markers in the partitions may never write them: it takes
partitions that have no leader while it starts for deleted (seen with Kafka 4.3.1). Such a transaction hangs: readers of
what is committed do not see it and wait before it, and the next transaction of the same id would end it together with
itself, after all of it had been decided again. It is ended when the log is opened: where a part of it is committed the
rest of it is, else all of it is aborted, since nobody has seen it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.conn import CloseReason
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from infra.kafka.tolerant_records import accept_any_header_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from aiokafka import ConsumerRecord

accept_any_header_name()
log = structlog.get_logger(__name__)

OPEN_DEADLINE_S = 60.0
COMMIT_DEADLINE_S = 15.0
CLOSE_DEADLINE_S = 5.0
READ_SILENCE_S_MAX = 30.0
TRANSACTION_TIMEOUT_MS = 30_000
BATCH_BYTES_MAX = 900_000
"""Below the broker's default limit of one megabyte for a batch of records."""
TRANSACTION_LENGTH_MAX = 50_000
"""Offsets of a partition within which what its last transaction wrote lies."""
COMMAND_HEADER = "command_id"
"""Names the command that a record comes from: what is written in one transaction has it in all topics."""
_HARMLESS_CLOSES = frozenset({CloseReason.SHUTDOWN, CloseReason.IDLE_DROP})


class FencedError(Exception):
    """Another owner has taken the partition; whatever was open is aborted."""


class UnsureError(Exception):
    """Whether the transaction was committed is not known: open the log again and read its end."""


class Record(NamedTuple):
    """A record to be written."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class FencedLog:
    """The write side of one partition number: its events, and what is written with them in the same transaction."""

    def __init__(
        self, *, bootstrap: str, transactional_id: str, partition: int, events_topic: str, topics: Sequence[str] = ()
    ) -> None:
        """`events_topic` is the truth that is read back; `topics` are the others, which are only written."""
        self._bootstrap = bootstrap
        self._transactional_id = transactional_id
        self._partition = partition
        self._events = TopicPartition(events_topic, partition)
        self._written = [TopicPartition(topic, partition) for topic in (events_topic, *topics)]
        self._producer: AIOKafkaProducer | None = None
        self._is_suspect = False

    async def fence(self) -> None:
        """Become the only writer; what an earlier one left open is ended.

        Raises UnsureError when the broker does not answer in time.
        """
        producer = await self._become_writer()
        hanging = await self._hanging()
        if not hanging:
            return
        is_committed = await self._is_committed_elsewhere(hanging)
        log.error(
            "log.transaction.hanging",
            transactional_id=self._transactional_id,
            partitions=[f"{each.topic} {each.partition}" for each in hanging],
            ends="commit" if is_committed else "abort",
        )
        await self._end_in(producer, hanging, is_committed=is_committed)
        await self._become_writer()  # the broker lets us do so when the markers are written

    async def _become_writer(self) -> AIOKafkaProducer:
        await self.close()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=self._transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=4 * BATCH_BYTES_MAX,
            request_timeout_ms=10_000,
        )
        self._watch(producer)
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await _stop(producer)
            raise UnsureError(f"the partition could not be taken: {error!r}") from error
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer
        self._is_suspect = False
        return producer

    async def _hanging(self) -> dict[TopicPartition, int]:
        """Return where something was written that is neither committed nor aborted, and where it begins."""
        written = await self._ends("read_uncommitted")
        committed = await self._ends("read_committed")  # asked for later: what others write meanwhile is in both
        return {each: committed[each] for each in self._written if committed[each] < written[each]}

    async def _ends(self, isolation_level: str) -> dict[TopicPartition, int]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, isolation_level=isolation_level, enable_auto_commit=False
        )
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await consumer.start()
                ends: dict[TopicPartition, int] = await consumer.end_offsets(self._written)
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnsureError(f"where the log ends is not known: {error!r}") from error
        else:
            return ends
        finally:
            await _close(consumer)

    async def _is_committed_elsewhere(self, hanging: Mapping[TopicPartition, int]) -> bool:
        """Tell whether other partitions know the hanging transaction as committed: then the rest of it has to be."""
        commands: set[bytes] = set()
        for partition, first_offset in hanging.items():
            async for records, _ in self._read(partition, first_offset, isolation_level="read_uncommitted"):
                commands |= _commands_of(records)
        if not commands:
            return True  # it holds dead letters alone, and one more of them does no harm
        for partition, end in (await self._ends("read_committed")).items():
            if partition not in hanging:
                first_offset = max(0, end - TRANSACTION_LENGTH_MAX)
                async for records, _ in self._read(partition, first_offset, reset="earliest"):
                    if not commands.isdisjoint(_commands_of(records)):
                        return True
        return False

    async def _end_in(
        self, producer: AIOKafkaProducer, partitions: Iterable[TopicPartition], *, is_committed: bool
    ) -> None:
        """End what hangs: the marker of a transaction ends all that its producer left open before it."""
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_S):
                await producer.begin_transaction()
                for each in partitions:
                    producer._txn_manager.maybe_add_partition_to_txn(each)  # as send() does, without a record
                await (producer.commit_transaction() if is_committed else producer.abort_transaction())
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            raise UnsureError(f"what hangs could not be ended: {error!r}") from error

    async def read(self, first_offset: int) -> AsyncIterator[tuple[list[ConsumerRecord[bytes, bytes]], int]]:
        """Yield the committed events from an offset to the end as it is now, and after each batch the next offset.

        Yields nothing when the offset is at the end. Raises UnsureError, LookupError when it is beyond the end.
        """
        async for records, next_offset in self._read(self._events, first_offset):
            yield records, next_offset

    async def _read(
        self,
        topic_partition: TopicPartition,
        first_offset: int,
        *,
        isolation_level: str = "read_committed",
        reset: str = "none",
    ) -> AsyncIterator[tuple[list[ConsumerRecord[bytes, bytes]], int]]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            isolation_level=isolation_level,
            enable_auto_commit=False,
            auto_offset_reset=reset,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await consumer.start()
                consumer.assign([topic_partition])
                end = (await consumer.end_offsets([topic_partition]))[topic_partition]
            if first_offset > end:
                raise LookupError(f"offset {first_offset} is beyond the end {end} of the log")
            consumer.seek(topic_partition, first_offset)
            position = first_offset
            while position < end:
                async with asyncio.timeout(READ_SILENCE_S_MAX):
                    fetched = await consumer.getmany(topic_partition, timeout_ms=500, max_records=5_000)
                    position = await consumer.position(topic_partition)
                records = [record for record in fetched.get(topic_partition, []) if record.offset < end]
                yield records, min(position, end)
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnsureError(f"the log could not be read: {error!r}") from error
        finally:
            await _close(consumer)

    async def commit(self, batches: Mapping[str, Sequence[Record]]) -> int:
        """Write all records, by topic, in one transaction; return the offset of the last event, -1 where none was.

        Raises FencedError, UnsureError.
        """
        producer = self._producer
        if producer is None or not self.is_sound:
            raise UnsureError("the log is not open, or a connection broke: it has to be opened again")
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_S):
                return await self._transact(producer, batches)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise FencedError(self._transactional_id) from error
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            raise UnsureError(f"the transaction did not end as it should: {error!r}") from error

    @property
    def is_sound(self) -> bool:
        """Tell whether it may be written to. After any trouble on the network it has to be opened and read again.

        A late request of the old connection could otherwise end the next transaction; a broker that came back may have
        forgotten how the last one ended; and another owner may have written meanwhile.
        """
        return self._producer is not None and not self._is_suspect

    async def close(self) -> None:
        """Let go of the connections; what is not committed will be aborted by the next owner or by the broker."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _transact(self, producer: AIOKafkaProducer, batches: Mapping[str, Sequence[Record]]) -> int:
        await producer.begin_transaction()
        last_event_offset = -1
        deliveries: list[tuple[str, int, Any]] = []
        for topic, records in batches.items():
            for builder in _build(producer, records):
                count = builder.record_count()
                delivery = await producer.send_batch(builder, topic, partition=self._partition)
                deliveries.append((topic, count, delivery))
        for topic, count, delivery in deliveries:
            metadata = await delivery
            if topic == self._events.topic:
                last_event_offset = metadata.offset + count - 1
        await producer.commit_transaction()
        return last_event_offset

    def _watch(self, producer: AIOKafkaProducer) -> None:
        """Notice every connection that breaks: its requests may still arrive at the broker, at any later time."""
        forward = producer.client._on_connection_closed  # aiokafka has no public hook for it

        def on_closed(connection: Any, reason: Any) -> None:
            if reason not in _HARMLESS_CLOSES:
                self._is_suspect = True
            forward(connection, reason)

        producer.client._on_connection_closed = on_closed


def _build(producer: AIOKafkaProducer, records: Sequence[Record]) -> list[Any]:
    """Return the records in as few of Kafka's record batches as they fit into, in their order."""
    builders: list[Any] = []
    builder = None
    for record in records:
        if builder is None or _append(builder, record) is None:
            builder = producer.create_batch()
            builders.append(builder)
            if _append(builder, record) is None:
                raise AssertionError(f"a record of {len(record.value or b'')} bytes fits into no batch")
    for full in builders:
        full.close()
    return builders


def _append(builder: Any, record: Record) -> Any:
    return builder.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)


def _commands_of(records: Sequence[ConsumerRecord[bytes, bytes]]) -> set[bytes]:
    return {value for record in records for name, value in record.headers if name == COMMAND_HEADER}


async def _close(consumer: AIOKafkaConsumer) -> None:
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_DEADLINE_S):
            await consumer.stop()


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop within a deadline, without a commit: a producer in the middle of something is simply cut off."""
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_DEADLINE_S):
            sender = producer._sender  # stop() would wait for batches that nobody wants any more
            task = sender.sender_task
            if task is not None and not task.done():
                task.cancel()
            await producer.client.close()
    producer._closed = True  # as stop() does, so that its finaliser does not warn
