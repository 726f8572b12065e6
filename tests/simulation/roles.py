"""The roles of the product as they run in a simulation: the real code, composed with adapters in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domain.policies.settings import Policies
from infra.memory.catalog_view import MemoryCatalogView
from infra.memory.connection import Answer, MemoryConnection
from infra.memory.consumer import MemoryConsumer
from infra.memory.log import MemoryLog
from infra.memory.sender import MemoryCommandSender, MemoryDeadLetterSender
from processors.decisions import Incoming
from processors.gateway import Gateway
from processors.gateway_writer import GatewayWriter
from processors.journal import Journal
from processors.worker import Delivery, PartitionWorker
from tests.simulation.tables import PositionTakenError, fold

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiokafka import TopicPartition

    from domain.ports import Clock, PaymentProvider
    from infra.memory.log import StoredRecord
    from infra.memory.store import MemoryStore
    from tests.simulation.process import Process
    from tests.simulation.world import World

POLL_MS = 1_000


class Acknowledged:
    """What Faust hears once a command is committed: the group's offset, which the engine takes for a hint only."""

    def __init__(self, acked: dict[TopicPartition, int], partition: TopicPartition, offset: int) -> None:
        self._acked = acked
        self._partition = partition
        self._offset = offset

    def ack(self) -> bool:
        """Let the group's offset move on."""
        self._acked[self._partition] = self._offset + 1
        return True


class EngineRole:
    """One engine process: what `processors.engine` does with Faust, done with a consumer in memory."""

    def __init__(self, world: World, process: Process, clock: Clock, disk: dict[int, MemoryStore]) -> None:
        """`disk` outlives the process."""
        self.world = world
        self.process = process
        self._clock = clock
        self._disk = disk
        weather = process.weather
        self._sender = MemoryCommandSender(
            world.topics, world.names.commands, partitions=world.partitions, weather=weather
        )
        self._catalogue = MemoryCatalogView(
            world.topics, world.names.catalog, partitions=world.partitions, weather=weather
        )
        self.consumer = MemoryConsumer(
            world.topics, world.engines, self, weather=weather, patience_s=world.settings.patience_s
        )
        self.workers: dict[int, PartitionWorker] = {}
        self.journals: dict[int, Journal] = {}
        self.acked: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Work until the process dies."""
        await self._catalogue.start()
        await self.consumer.start()
        while True:
            for partition, records in (await self.consumer.getmany(timeout_ms=POLL_MS)).items():
                for record in records:
                    worker = self.workers.get(partition.partition)
                    if worker is not None:
                        await worker.offer(self.delivery(partition, record))

    def delivery(self, partition: TopicPartition, record: StoredRecord) -> Delivery:
        """Return a command as Faust hands it over."""
        incoming = Incoming(record.topic, record.partition, record.offset, record.key, record.value, [*record.headers])
        return Delivery(incoming, Acknowledged(self.acked, partition, record.offset))

    def first_offset(self, partition: TopicPartition) -> int:
        """Return where to go on: the log knows; where it has no outcome yet, at the beginning."""
        return self.workers[partition.partition].next_command_offset or 0

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Close what was taken away."""
        for partition in sorted(revoked, key=lambda taken: taken.partition):
            worker = self.workers.pop(partition.partition, None)
            self.journals.pop(partition.partition, None)
            if worker is not None:
                await worker.close()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Open what was given, before anything of it is delivered."""
        partitions = sorted(assigned, key=lambda given: given.partition)
        for partition in partitions:
            self.workers[partition.partition] = self._worker(partition)
        await asyncio.gather(*(self.workers[partition.partition].open() for partition in partitions))
        for partition in partitions:
            self.consumer.seek(partition, self.first_offset(partition))

    def journal(self, number: int) -> Journal:
        """Return the owner of a partition."""
        world = self.world
        return Journal(
            partition=number,
            log_of_partition=MemoryLog(
                world.topics,
                transactional_id=f"engine-{number}",
                partition=number,
                events_topic=world.names.events,
                weather=self.process.weather,
            ),
            open_store=lambda: self._disk[number],
            topics=world.names,
            clock=self._clock,
            catalogue=self._catalogue,
            policies=Policies(),
            partitions=world.settings.partitions,
            renewals_max=world.settings.renewals_max,
        )

    def _worker(self, partition: TopicPartition) -> PartitionWorker:
        journal = self.journals[partition.partition] = self.journal(partition.partition)
        return PartitionWorker(
            journal,
            sender=self._sender,
            is_assigned=lambda: partition in self.consumer.assignment(),
            give_up=self.process.kill,
            timer_s=self.world.settings.timer_s,
        )


class SlowConnection(MemoryConnection):
    """The way to a provider that may still carry out a call when its caller has given it up."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(world.provider, process.weather)
        self._world = world

    async def _call(self, call: str, work: Coroutine[Any, Any, Answer], unknown: Answer) -> Answer:
        if not self._weather.strikes(f"provider.{call}.late"):
            return await super()._call(call, work, unknown)
        self._world.outside.carry(work)
        await self._weather.pause("provider.given_up")
        return unknown


class GatewayRole:
    """One gateway process, with the real gateway in it."""

    def __init__(self, world: World, process: Process, clock: Clock) -> None:
        weather = process.weather
        commands = MemoryCommandSender(world.topics, world.names.commands, partitions=world.partitions, weather=weather)
        letters = MemoryDeadLetterSender(world.topics, world.names.dead_letters, weather=weather)
        self.consumer: MemoryConsumer | None = None
        self._world = world
        self._process = process
        self.gateway = Gateway(
            world.product_settings,
            {world.provider.name: self.connection()},
            clock,
            writer=GatewayWriter(commands, letters),
            new_consumer=self.new_consumer,
        )

    def connection(self) -> PaymentProvider:
        """Return the way to the provider."""
        return SlowConnection(self._world, self._process)

    def new_consumer(self, gateway: Gateway) -> MemoryConsumer:
        """Return the reader of effects."""
        world = self._world
        self.consumer = MemoryConsumer(
            world.topics,
            world.gateways,
            gateway,
            weather=self._process.weather,
            patience_s=world.settings.patience_s,
        )
        return self.consumer

    async def run(self) -> None:
        """Work until the process dies."""
        await self.gateway.run()


class ProjectorRole:
    """One projector process: the pure fold of the real one, and the tables in memory."""

    def __init__(self, world: World, process: Process, clock: Clock) -> None:
        self._world = world
        self.consumer = MemoryConsumer(
            world.topics, world.projectors, self, weather=process.weather, patience_s=world.settings.patience_s
        )
        self._process = process
        self._next: dict[int, int] = {}

    async def run(self) -> None:
        """Work until the process dies."""
        await self.consumer.start()
        while True:
            for partition, records in (await self.consumer.getmany(timeout_ms=POLL_MS)).items():
                await self.project(partition, records)

    async def project(self, partition: TopicPartition, records: list[StoredRecord]) -> None:
        """Write what some records change, with the offset behind them; where somebody else did so, go on behind it."""
        number, tables = partition.partition, self._world.tables
        batch = fold(records)
        await self._process.weather.pause("projector.write")
        try:
            tables.write(batch, number, expected=self._next[number], reached=records[-1].offset + 1)
        except PositionTakenError:
            self._begin(partition)
        else:
            self._next[number] = records[-1].offset + 1
        await self._process.weather.pause("projector.written")

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing is held that would have to be let go of."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The offset in the tables is the truth."""
        for partition in sorted(assigned, key=lambda given: given.partition):
            self._begin(partition)

    def _begin(self, partition: TopicPartition) -> None:
        self._next[partition.partition] = self._world.tables.positions.get(partition.partition, 0)
        self.consumer.seek(partition, self._next[partition.partition])
