"""One partition's journal on a real broker and a real store, driven by hand, with its log judged by the verifier."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from domain.catalog.state import StillCatalogue
from domain.ids import CommandId, PriceId, derive
from domain.orders.commands import OrderItem, PlaceOrder
from domain.policies.settings import Policies
from infra.kafka.fenced_log import FencedLog
from infra.kafka.log_reader import LogRecord, open_log, partition_of
from infra.kafka.topics import Topics, create_topics
from infra.rocksdb.store import open_store
from processors.decisions import Incoming
from processors.journal import Journal
from schemas.envelope import command_body, command_headers, new_command
from tests.chaos.evidence import Evidence, Record
from tests.chaos.verifier import (
    Finding,
    chains_hold,
    groups_end_with_their_outcome,
    no_outcome_is_doubled,
    sequences_have_no_gap,
)
from tests.sample_log import OFFERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from domain.catalog.state import Offer

PARTITION = 0


class HandClock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment that was set."""
        return self.time

    def advance(self, duration: timedelta) -> None:
        """Move it."""
        self.time += duration


@dataclass(slots=True)
class Bench:
    """What a journal needs, and a place for its commands."""

    bootstrap: str
    topics: Topics
    store_path: Path
    partitions: int
    clock: HandClock = field(default_factory=HandClock)
    prices: Mapping[PriceId, Offer] = field(default_factory=lambda: dict(OFFERS))
    offset: int = 0
    sent: list[Incoming] = field(default_factory=list)

    def account(self, number: int) -> str:
        """An account whose key belongs to the partition."""
        candidates = (f"account-{number}-{salt}" for salt in range(1_000))
        return next(name for name in candidates if partition_of(name.encode(), self.partitions) == PARTITION)

    def incoming(self, account: str, data: Any, name: str, *, body_hash: str | None = None) -> Incoming:
        """A command as Faust would hand it over, at the next offset."""
        command = new_command(
            command_id=CommandId(derive(account, name)),
            key=account,
            time=self.clock.now(),
            source="test",
            actor=f"user:{account}",
            data=data,
            body_hash=body_hash,
        )
        return self.raw(account.encode(), command_body(command), command_headers(command))

    def raw(self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> Incoming:
        """Any record, at the next offset."""
        made = Incoming(self.topics.commands, PARTITION, self.offset, key, value, headers)
        self.offset += 1
        self.sent.append(made)
        return made

    def again(self, incoming: Incoming) -> Incoming:
        """The same record, sent once more."""
        return self.raw(incoming.key, incoming.value, list(incoming.headers))

    def orders(self, first: int, count: int) -> list[Incoming]:
        """So many customers who order a film each."""
        item = OrderItem(price_id=PriceId("solaris:eur"))
        order = PlaceOrder(items=(item,), provider="stripe")
        return [self.incoming(self.account(number), order, "order") for number in range(first, first + count)]

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[Journal]:
        """A journal, not opened yet; closed in the end."""
        journal = Journal(
            partition=PARTITION,
            log_of_partition=FencedLog(
                bootstrap=self.bootstrap,
                transactional_id=f"{self.topics.prefix}-engine-{PARTITION}",
                partition=PARTITION,
                events_topic=self.topics.events,
                topics=self.topics.written_with_events,
            ),
            open_store=lambda: open_store(self.store_path),
            topics=self.topics,
            clock=self.clock,
            catalogue=StillCatalogue(prices=self.prices),
            policies=Policies(),
        )
        try:
            yield journal
        finally:
            await journal.close()

    async def read(self, topic: str | None = None) -> list[LogRecord]:
        """The committed records of a topic (of the events, where none is named)."""
        async with open_log(self.bootstrap, topic or self.topics.events) as log:
            return [record async for record in log.read()]

    async def faults(self, accepted: int) -> list[str]:
        """What is wrong with the log, in which exactly so many commands must have an outcome."""
        log = [as_evidence(record) for record in await self.read()]
        evidence = Evidence(log=log)
        outcomes = [record for record in log if record.headers["ce_type"].startswith("billing.command.")]
        count = Finding("as many outcomes as commands")
        count.require(len(outcomes) == accepted, f"{len(outcomes)} outcomes of {accepted} commands")
        findings = [
            count,
            no_outcome_is_doubled(evidence),
            groups_end_with_their_outcome(evidence),
            sequences_have_no_gap(evidence),
            chains_hold(evidence),
        ]
        return [fault for finding in findings for fault in finding.faults]


async def bench_on(bootstrap: str, data_dir: Path) -> Bench:
    """A bench with topics of its own, of one partition."""
    topics = Topics("bench")
    await create_topics(bootstrap, topics, partitions=1)
    return Bench(bootstrap=bootstrap, topics=topics, store_path=data_dir / "store" / "0", partitions=1)


def as_evidence(record: LogRecord) -> Record:
    """A record as the verifier wants it."""
    return Record(
        partition=record.partition,
        offset=record.offset,
        key=(record.key or b"").decode(),
        value=record.value or b"",
        headers={name: value.decode() for name, value in record.headers},
    )
