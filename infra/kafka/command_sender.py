"""The one way into the log: commands by a plain idempotent producer, each send with a deadline.

`billing.commands` is never written in a transaction: its reader needs a topic without holes in the offsets.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, ProducerClosed
from aiokafka.partitioner import DefaultPartitioner

from infra.logging import get_logger
from schemas.envelope import command_body, command_headers

if TYPE_CHECKING:
    from aiokafka.structs import RecordMetadata

    from schemas.envelope import CommandRecord

log = get_logger(__name__)

_PENDING_MAX = 4096
"""Sends under way in one process; a command has at most a few KiB, so this bounds the memory too."""
_REQUEST_TIMEOUT_MS = 5_000
_BATCH_BYTES_MAX = 64 * 1024
_STOP_TIMEOUT_S = 5.0
_END_OF_REQUESTS_S = 3 * _REQUEST_TIMEOUT_MS / 1000
"""To a frozen broker a connection, its handshake and a request each take their whole time."""
_RETRY_DELAY_S_MIN = 0.1
_RETRY_DELAY_S_MAX = 2.0
_PARTITIONS_CACHED = 65_536


@dataclass(frozen=True, slots=True)
class CommandPosition:
    """Where a command stands in `billing.commands`. The offset is None where the broker knew the record already."""

    partition: int
    offset: int | None


class SendRefusedError(Exception):
    """The command was not sent: too much is under way already."""


class SendUnknownError(Exception):
    """The broker did not acknowledge in time: whether it has the command is not known.

    Sending the same command again is harmless, since its id is the same.
    """


class CommandSender:
    """Sends commands; connects by itself, and again by itself after whatever the broker does.

    An idempotent producer of aiokafka numbers its batches, and once one of them has failed for good, every later one is
    out of order. So a producer that has failed once is thrown away, and a new one takes its place.
    """

    def __init__(self, bootstrap: str, topic: str, *, partitions: int, deadline_s: float = 10.0) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._deadline_s = deadline_s
        self._pending = 0
        self._producer: AIOKafkaProducer | None = None
        self._ready = asyncio.Event()
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._failure = "not connected yet"
        numbers = list(range(partitions))
        partitioner = DefaultPartitioner()
        self.partition_of = lru_cache(_PARTITIONS_CACHED)(lambda key: int(partitioner(key, numbers, numbers)))
        """The partition of a key in bytes: the same for every producer, and the same number on every topic."""

    def start(self) -> None:
        """Begin to connect; returns at once, since a process may start while the broker is away."""
        assert self._keeper is None, "started twice"
        self._keeper = asyncio.create_task(self._keep(), name="command-sender")

    async def stop(self) -> None:
        """Flush what is under way, within bounds, and disconnect."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def send(self, command: CommandRecord) -> CommandPosition:
        """Return when the broker has the command on all in-sync replicas.

        Raises SendRefusedError (it was not sent) and SendUnknownError (it may have been).
        """
        if self._pending >= _PENDING_MAX:
            raise SendRefusedError(f"{_PENDING_MAX} commands are under way")
        key = command.key.encode()
        self._pending += 1
        try:
            producer = self._producer or await self._wait_for_producer()
            acknowledged = await self._hand_over(producer, command, key)
            deadline = asyncio.get_running_loop().call_later(self._deadline_s, _expire, acknowledged)
            try:
                metadata = await acknowledged
            except KafkaError as error:
                self._give_up(producer, error)
                raise SendUnknownError(f"the broker: {error!r}") from error
            except TimeoutError as error:
                raise SendUnknownError(f"no acknowledgement in {self._deadline_s:g} s") from error
            finally:
                deadline.cancel()
        finally:
            self._pending -= 1
        return CommandPosition(metadata.partition, metadata.offset if metadata.offset >= 0 else None)

    async def _wait_for_producer(self) -> AIOKafkaProducer:
        """The producer, as soon as there is one."""
        try:
            async with asyncio.timeout(self._deadline_s):
                while self._producer is None:
                    await self._ready.wait()
        except TimeoutError as error:
            raise SendUnknownError(f"no broker in {self._deadline_s:g} s: {self._failure}") from error
        return self._producer

    async def _hand_over(
        self, producer: AIOKafkaProducer, command: CommandRecord, key: bytes
    ) -> asyncio.Future[RecordMetadata]:
        """Put the command into the next batch; while that is full, wait, at most for the producer's own deadline."""
        try:
            future: asyncio.Future[RecordMetadata] = await producer.send(
                self._topic,
                command_body(command),
                key=key,
                partition=self.partition_of(key),
                headers=command_headers(command),
            )
        except KafkaTimeoutError as error:
            raise SendRefusedError("no batch had room for the command in time") from error
        except KafkaError as error:
            self._give_up(producer, error)
            raise SendUnknownError(f"the broker: {error!r}") from error
        return future

    async def check(self, deadline_s: float) -> str | None:
        """Ask the broker for the topic's metadata; return what is wrong, or None."""
        producer = self._producer
        if producer is None:
            return f"the broker at {self._bootstrap}: {self._failure}"
        try:
            async with asyncio.timeout(deadline_s):
                # Metadata that is cached says nothing about the broker's health now: it is asked for anew.
                if not await producer.client.force_metadata_update():
                    return f"the broker at {self._bootstrap} does not answer"
        except (TimeoutError, KafkaError) as error:
            return f"the broker at {self._bootstrap} does not answer: {error!r}"
        return None if producer.client.cluster.partitions_for_topic(self._topic) else f"no topic {self._topic}"

    def _give_up(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        """Have this producer replaced, once, however many sends have failed on it."""
        if self._producer is producer:
            self._producer = None
            self._failure = repr(error)
            self._ready.clear()
            self._broken.set()
            log.warning("commands.producer.failed", error=repr(error))

    async def _keep(self) -> None:
        """Keep one producer alive until cancelled."""
        delay_s = _RETRY_DELAY_S_MIN
        while True:
            producer = self._new_producer()
            try:
                await producer.start()
                await producer.partitions_for(self._topic)
                delay_s = _RETRY_DELAY_S_MIN
                self._broken.clear()
                self._producer = producer
                self._ready.set()
                log.info("commands.producer.ready", bootstrap=self._bootstrap)
                await self._broken.wait()
            except (KafkaError, OSError) as error:
                self._failure = repr(error)
                log.warning("commands.producer.unreachable", bootstrap=self._bootstrap, error=repr(error))
            finally:
                self._producer = None
                self._ready.clear()
                await _discard(producer, flush=not self._broken.is_set())
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _RETRY_DELAY_S_MAX)

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            # Without a wait: while one request is under way, the next batch collects by itself.
            linger_ms=0,
            max_batch_size=_BATCH_BYTES_MAX,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=60_000,
        )


def _expire(acknowledged: asyncio.Future[RecordMetadata]) -> None:
    """Nobody waits any longer; the producer passes over a future that is done."""
    if not acknowledged.done():
        acknowledged.set_exception(TimeoutError())


async def _discard(producer: AIOKafkaProducer, *, flush: bool) -> None:
    """Stop a producer. What it does not flush, or not in time, fails, so that nobody waits for it."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            if not flush:
                _fail_pending(producer)
            await producer.stop()
    except (TimeoutError, KafkaError, OSError):
        _fail_pending(producer)
        task = producer._sender.sender_task  # no public way: `stop` itself waits without a deadline
        if task is not None:
            task.cancel()
            # Requests that are under way end by their own deadline; left alone, they would open connections anew.
            await asyncio.wait({task}, timeout=_END_OF_REQUESTS_S)
        await producer.client.close()


def _fail_pending(producer: AIOKafkaProducer) -> None:
    """What aiokafka's own sender does with unsent batches when it dies."""
    producer._message_accumulator.fail_all(ProducerClosed())
