"""The log that the engine would write for the workload, made in memory by its own decider: the same bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.catalog.state import StillCatalogue
from domain.policies.settings import Policies
from infra.kafka.log_reader import partition_of
from infra.memory.store import MemoryStore
from processors.decisions import Decider, Incoming
from processors.partition import PartitionState
from schemas.envelope import command_body, command_headers
from tests.bench import workload

if TYPE_CHECKING:
    from infra.kafka.fenced_log import Record
    from infra.kafka.topics import Topics
    from processors.decisions import Decided

PARTITIONS = 8
BATCH = 500
"""Commands in one transaction."""


@dataclass(slots=True)
class Transaction:
    """What is written at once into one partition number."""

    partition: int
    commands: int
    batches: dict[str, list[Record]]

    @property
    def records(self) -> int:
        """Over all topics."""
        return sum(map(len, self.batches.values()))


@dataclass(slots=True)
class MadeLog:
    """Transactions in order, and what it took to decide them."""

    transactions: list[Transaction] = field(default_factory=list)
    deciding_s: float = 0.0

    @property
    def commands(self) -> int:
        """How many were decided."""
        return sum(transaction.commands for transaction in self.transactions)

    def events(self, topics: Topics) -> int:
        """How many records the log of events has."""
        return sum(len(transaction.batches.get(topics.events, ())) for transaction in self.transactions)


def make(topics: Topics, commands: int, *, run: str) -> MadeLog:
    """Decide so many orders, in batches of each partition."""
    waiting: dict[int, list[Incoming]] = {number: [] for number in range(PARTITIONS)}
    for record in workload.orders(commands, run=run):
        key = record.key.encode()
        partition = partition_of(key, PARTITIONS)
        lane = waiting[partition]
        lane.append(Incoming(topics.commands, partition, len(lane), key, command_body(record), command_headers(record)))
    made = MadeLog()
    catalogue, policies = StillCatalogue(prices=workload.offers()), Policies()
    for partition, lane in waiting.items():
        state = PartitionState(MemoryStore())
        for start in range(0, len(lane), BATCH):
            batch = lane[start : start + BATCH]
            begin = time.perf_counter()
            decided = Decider(state, catalogue, policies, partitions=PARTITIONS).decide(batch, datetime.now(UTC))
            made.deciding_s += time.perf_counter() - begin
            state.apply(decided.changes)
            assert decided.accepted == len(batch), "the workload is not as it should be"
            made.transactions.append(Transaction(partition, len(batch), _batches(topics, decided)))
    return made


def _batches(topics: Topics, decided: Decided) -> dict[str, list[Record]]:
    return {topics.events: decided.events, topics.effects: decided.effects}
