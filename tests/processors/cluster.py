"""Several partitions with their owners, and the gateway's relay between them, on the memory adapters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.catalog.state import StillCatalogue
from domain.ids import CommandId
from domain.policies.settings import Policies
from infra.kafka.fenced_log import Record
from infra.kafka.log_reader import partition_of
from infra.memory.log import MemoryLog, MemoryTopics
from infra.memory.store import MemoryStore
from processors.decisions import Incoming
from processors.journal import Journal
from schemas.envelope import command_body, command_headers, new_command, read_effect, read_event
from schemas.messages import RelayedCommand
from schemas.relay import relay
from tests.processors.kit import TOPICS, StillClock

if TYPE_CHECKING:
    from domain.catalog.state import Catalogue
    from schemas.envelope import CommandRecord, EffectRecord, EventRecord


@dataclass
class Cluster:
    """Partitions of one engine. Commands wait in their topic until a partition's owner takes them."""

    partitions: int = 3
    topics: MemoryTopics = field(default_factory=MemoryTopics)
    clock: StillClock = field(default_factory=StillClock)
    catalogue: Catalogue = field(default_factory=StillCatalogue)
    journals: dict[int, Journal] = field(default_factory=dict)
    stores: dict[int, MemoryStore] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    """The offset of the next command of each partition for its present owner."""
    relayed: dict[int, int] = field(default_factory=dict)
    """How many effects of each partition the gateway has carried out."""
    calls: list[EffectRecord] = field(default_factory=list)
    """Calls to providers that were asked for, in the order in which the gateway came by them."""

    def partition_of(self, key: str) -> int:
        """The partition of a key."""
        return partition_of(key.encode(), self.partitions)

    def send(self, key: str, data: Any, command_id: str) -> None:
        """Write a command as the API does."""
        command = new_command(
            command_id=CommandId(command_id), key=key, time=self.clock.now(), source="test", actor=key, data=data
        )
        self.write(command)

    def write(self, command: CommandRecord) -> None:
        """Append a command to its partition."""
        record = Record(command.key.encode(), command_body(command), command_headers(command))
        self.topics.append(TOPICS.commands, self.partition_of(command.key), record)

    async def work(self, partition: int, at_most: int = 10) -> bool:
        """Let the owner take some of its commands; whatever goes wrong, the next owner takes over. Tell if any came."""
        journal = await self._owner(partition)
        first = self.positions[partition]
        waiting = self.topics.read(TOPICS.commands, partition, first)[:at_most]
        batch = [
            Incoming(record.topic, record.partition, record.offset, record.key, record.value, [*record.headers])
            for record in waiting
        ]
        if batch:
            await journal.handle(batch)
            self.positions[partition] = first + len(batch)
        return bool(batch)

    async def fire(self, partition: int) -> None:
        """Let the owner send what is due as commands, as the engine does."""
        journal = await self._owner(partition)
        for command in journal.due_timers():
            self.write(command)

    def crash(self, partition: int) -> None:
        """Kill the owner; with its store, when somebody threw that away too."""
        self.journals.pop(partition, None)
        self.stores.pop(partition, None)

    def carry_out(self, partition: int, *, repeats: int = 0) -> None:
        """Let the gateway carry out the partition's effects, beginning some before those that it has not done."""
        effects = self.topics.read(TOPICS.effects, partition)
        done = self.relayed.get(partition, 0)
        for number, stored in enumerate(effects[max(0, done - repeats) :], start=max(0, done - repeats)):
            record = read_effect(stored.key, stored.value, stored.headers)
            if isinstance(record.data, RelayedCommand):
                self.write(relay(record, record.data, at=self.clock.now(), source="gateway", actor="gateway"))
            elif number >= done:
                self.calls.append(record)
        self.relayed[partition] = len(effects)

    async def settle(self) -> None:
        """Let everything that waits for nothing but its turn happen."""
        while True:
            before = self.topics.count()
            for partition in range(self.partitions):
                while await self.work(partition, 100):
                    pass
                self.carry_out(partition)
            if before == self.topics.count():
                return

    def events(self) -> list[EventRecord]:
        """All events of all partitions."""
        return [
            read_event(record.key, record.value, record.headers)
            for partition in range(self.partitions)
            for record in self.topics.read(TOPICS.events, partition)
        ]

    async def _owner(self, partition: int) -> Journal:
        journal = self.journals.get(partition)
        if journal is None:
            store = self.stores.setdefault(partition, MemoryStore())
            journal = Journal(
                partition=partition,
                log_of_partition=MemoryLog(
                    self.topics,
                    transactional_id=f"engine-{partition}",
                    partition=partition,
                    events_topic=TOPICS.events,
                ),
                open_store=lambda: store,
                topics=TOPICS,
                clock=self.clock,
                catalogue=self.catalogue,
                policies=Policies(),
                partitions=self.partitions,
            )
            self.journals[partition] = journal
        if not journal.is_open:
            await journal.open()
            self.positions[partition] = journal.next_command_offset or 0
        return journal
