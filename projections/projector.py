"""Folds the log into the read models, exactly once: rows and offsets are one transaction.

While a batch is being written the next one is folded. Whatever goes wrong, what was handed out is taken back: the
positions are read again from the database and the same records come again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import prometheus_client as prometheus
import psycopg
from aiokafka.errors import KafkaError

from infra.kafka.command_place import misplaced
from infra.kafka.dead_letter_sender import DeadLetterNotSentError, DeadLetterSender
from infra.kafka.dead_letters import dead_letter_of
from infra.logging import get_logger
from projections.feed import ROLE, Feed, Fetched
from projections.fold import Batch, Place
from projections.model import SCHEMA
from projections.writer import PositionTakenError, Writer, is_fault_of_data
from schemas.codec import WireError
from schemas.envelope import read_command, read_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord

    from infra.kafka.dead_letters import DeadLetter
    from infra.settings import Settings

log = get_logger(__name__)

POLL_TIMEOUT_MS = 250
PATIENCE_S = 300.0
"""How long a broker or a database may be away; after that the process ends, and a supervisor starts it anew."""
RETRY_DELAYS_S = (0.05, 0.2, 0.5, 1.0, 2.0)
RECORDS_IN_A_ROW = 10
"""Records that are folded before the connection that writes the last batch gets its turn."""
_TROUBLE = (psycopg.Error, KafkaError, DeadLetterNotSentError, TimeoutError, OSError)

RECORDS = prometheus.Counter("billing_projector_records", "Records that were taken into the read models", ["topic"])
BATCH_SECONDS = prometheus.Histogram(
    "billing_projector_batch_seconds",
    "Time to write a batch",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
DEAD_LETTERS = prometheus.Counter(
    "billing_projector_dead_letters", "Events that could not be read or stored, kept for people"
)
SKIPPED = prometheus.Counter(
    "billing_projector_commands_skipped", "Commands that could not be read; the engine keeps them"
)
RETRIES = prometheus.Counter("billing_projector_retries", "Times that records were taken back and read again")
LAG = prometheus.Gauge("billing_projector_lag", "Offsets that are not projected yet", ["topic", "partition"])


class DeadLetters(Protocol):
    """Where records go that cannot be read or stored."""

    async def send(self, letter: DeadLetter) -> None:
        """Return when the letter is kept for people. Raises DeadLetterNotSentError."""


class Projector:
    """One process of the group. `run` returns after `stop`, and raises when it cannot go on."""

    def __init__(
        self,
        settings: Settings,
        *,
        patience_s: float = PATIENCE_S,
        schema: str = SCHEMA,
        feed: Feed | None = None,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        self._database_url = settings.database_url
        self._schema = schema
        self._patience_s = patience_s
        self._feed = feed or Feed(settings)
        self._joined = False
        self._events_topic = self._feed.topics.events
        self._dead_letters = dead_letters or DeadLetterSender(settings.kafka_bootstrap, self._feed.topics.dead_letters)
        self._sent: set[tuple[int, int]] = set()
        self._writer: Writer | None = None
        self._writing: asyncio.Task[None] | None = None
        self._trouble_since: float | None = None
        self._failures = 0
        self._lag_due_s = 0.0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more; `run` returns when what was taken is written."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Raises LogReplacedError, and whatever trouble outlasts the patience."""
        try:
            while not self._stopping.is_set():
                try:
                    await self._step()
                except PositionTakenError as error:
                    RETRIES.inc()
                    log.info("projections.position.taken", detail=str(error))
                    await self._take_back()
                except _TROUBLE as error:
                    RETRIES.inc()
                    await self._take_back()
                    await self._wait_out(error)
            await self._finish()
        finally:
            await self._close()

    async def _finish(self) -> None:
        """Let the last batch be written. One that is not will be folded again by whoever comes next."""
        try:
            await self._written()
        except (PositionTakenError, *_TROUBLE) as error:
            log.info("projections.batch.left", error=repr(error))

    async def _step(self) -> None:
        """Fetch and fold while the last batch is written, then have this one written."""
        writer = await self._ready()
        fetched = await self._feed.fetch(POLL_TIMEOUT_MS)
        if not fetched.moves:
            await self._written()
            return
        batch = await self._fold(fetched.records)
        await self._written()
        self._writing = asyncio.create_task(self._write(writer, batch, fetched), name="projector-write")

    async def _ready(self) -> Writer:
        """Have a connection and a place in the group, and know where each assigned partition stands."""
        if not self._joined:
            await self._feed.stop()
            await self._feed.start()
            self._joined = True
        if self._writer is None or self._writer.is_closed:
            self._writer = await Writer.open(self._database_url, schema=self._schema)
        waiting, generation = self._feed.waiting(), self._feed.generation
        if waiting:
            await self._written()
            self._feed.begin(await self._writer.positions(waiting), generation)
            self._went_well()
        if time.monotonic() >= self._lag_due_s:
            self._lag_due_s = time.monotonic() + 1.0
            for (topic, partition), offsets in self._feed.lag().items():
                LAG.labels(topic, partition).set(offsets)
        return self._writer

    async def _fold(self, records: Sequence[ConsumerRecord]) -> Batch:
        batch, partitions = Batch(), 0
        for index, record in enumerate(records, start=1):
            if index % RECORDS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            try:
                if record.topic == self._events_topic:
                    event = read_event(record.key, record.value, record.headers)
                    batch.add_event(event, Place(record.partition, record.offset))
                else:
                    command = read_command(record.key, record.value, record.headers)
                    partitions = partitions or self._feed.partitions_of(record.topic)
                    batch.add_command(command, record.offset, misplaced(command, record.partition, partitions))
            except WireError as error:
                await self._give_up(record, str(error))
        return batch

    async def _write(self, writer: Writer, batch: Batch, fetched: Fetched) -> None:
        try:
            with BATCH_SECONDS.time():
                await writer.write(batch, fetched.moves)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.warning("projections.batch.unstorable", records=len(fetched.records), error=type(error).__name__)
            await self._write_halves(writer, fetched)
        for topic, count in Counter(record.topic for record in fetched.records).items():
            RECORDS.labels(topic).inc(count)
        if self._sent:
            self._sent.difference_update((record.partition, record.offset) for record in fetched.records)

    async def _write_carefully(self, writer: Writer, fetched: Fetched) -> None:
        """Write records among which one cannot be stored; that one is given up."""
        try:
            await writer.write(await self._fold(fetched.records), fetched.moves)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            await self._write_halves(writer, fetched, type(error).__name__)

    async def _write_halves(self, writer: Writer, fetched: Fetched, reason: str = "") -> None:
        if len(fetched.records) <= 1:
            for record in fetched.records:
                await self._give_up(record, f"PostgreSQL cannot store it: {reason}")
            await writer.write(Batch(), fetched.moves)
            return
        for half in fetched.halves():
            await self._write_carefully(writer, half)

    async def _give_up(self, record: ConsumerRecord, reason: str) -> None:
        """Keep a record that nobody can read for people. Only then may the projector pass it."""
        place = (record.partition, record.offset)
        if record.topic != self._events_topic:
            SKIPPED.inc()
            return
        if place in self._sent:
            return
        await self._dead_letters.send(dead_letter_of(record, reason=reason, role=ROLE))
        self._sent.add(place)
        DEAD_LETTERS.inc()
        log.error("projections.event.given_up", partition=place[0], offset=place[1], reason=reason)

    async def _written(self) -> None:
        """Wait until the last batch is written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
            self._went_well()

    async def _take_back(self) -> None:
        """Forget what was handed out. Whether the batch under way was written will be read from the database."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.gather(writing, return_exceptions=True)
        self._feed.forget()

    async def _wait_out(self, error: Exception) -> None:
        """Wait before the next attempt; raise when the trouble has lasted too long."""
        now = time.monotonic()
        if self._trouble_since is None:
            self._trouble_since = now
            log.warning("projections.interrupted", error=repr(error))
        if now - self._trouble_since > self._patience_s:
            raise error
        if isinstance(error, psycopg.Error | OSError | TimeoutError) and self._writer is not None:
            await self._writer.close()
        if isinstance(error, KafkaError):
            self._joined = False
        delay_s = RETRY_DELAYS_S[min(self._failures, len(RETRY_DELAYS_S) - 1)]
        self._failures += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    def _went_well(self) -> None:
        if self._trouble_since is not None:
            log.info("projections.resumed", after_s=round(time.monotonic() - self._trouble_since, 1))
        self._trouble_since = None
        self._failures = 0

    async def _close(self) -> None:
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._feed.stop()
        if self._writer is not None:
            await self._writer.close()
