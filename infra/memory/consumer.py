"""Readers of topics in memory, and the group that shares the partitions out among them, as Kafka's do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import CommitFailedError

from infra.memory.weather import GOOD_WEATHER, Weather

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import TopicPartition

    from infra.memory.log import MemoryTopics, StoredRecord


class Listener(Protocol):
    """Who hears that partitions were given or taken: `aiokafka.ConsumerRebalanceListener` with sets."""

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let go of the partitions, before anybody else gets them."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin with the partitions."""


@dataclass(slots=True, eq=False)
class MemoryGroup:
    """Shares the partitions of a topic out among its members, and keeps the offsets that they commit.

    Whenever a member comes or goes all of them let go of everything and join anew. One that does not answer has to be
    expelled by whoever watches: there are no heartbeats here.
    """

    partitions: Sequence[TopicPartition]
    share: Callable[[list[MemoryConsumer], Sequence[TopicPartition]], dict[TopicPartition, MemoryConsumer]]
    """Says who gets what; the members come in the order in which they joined."""
    members: list[MemoryConsumer] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    generation: int = 0
    _ready: list[MemoryConsumer] = field(default_factory=list)
    _owners: dict[TopicPartition, MemoryConsumer] = field(default_factory=dict)

    def join(self, member: MemoryConsumer) -> None:
        """Add a member."""
        self.members.append(member)
        self._begin()

    def expel(self, member: MemoryConsumer) -> None:
        """Take a member out: it left, or was silent for too long."""
        if member in self.members:
            self.members.remove(member)
            self._begin()

    def settle(self, member: MemoryConsumer) -> None:
        """Note that a member let go of everything; when all have, the partitions are shared out."""
        if member not in self._ready:
            self._ready.append(member)
        if self.members and all(known in self._ready for known in self.members):
            self._owners = self.share(list(self.members), self.partitions)
            self._wake()

    def assigned_to(self, member: MemoryConsumer) -> list[TopicPartition] | None:
        """Return what a member has now, or None while the group is not of one mind."""
        if member not in self.members or any(known not in self._ready for known in self.members):
            return None
        return [partition for partition in self.partitions if self._owners.get(partition) is member]

    def _begin(self) -> None:
        self.generation += 1
        self._ready.clear()
        self._owners = {}
        self._wake()

    def _wake(self) -> None:
        for member in self.members:
            member.wake()


class MemoryConsumer:
    """Reads what is committed. It has what the product uses of `AIOKafkaConsumer`."""

    def __init__(
        self,
        topics: MemoryTopics,
        group: MemoryGroup,
        listener: Listener,
        *,
        weather: Weather = GOOD_WEATHER,
        patience_s: float | None = None,
    ) -> None:
        """`patience_s`: wait that long for records instead of what `getmany` asks, where there is nothing to read."""
        self._topics = topics
        self._group = group
        self._listener = listener
        self._weather = weather
        self._patience_s = patience_s
        self._positions: dict[TopicPartition, int] = {}
        self._generation = -1
        self._waiter: asyncio.Future[bool] | None = None

    async def start(self) -> None:
        """Join the group."""
        await self._weather.pause("consumer.join")
        self._topics.listeners.append(self._hear)
        self._group.join(self)

    async def stop(self) -> None:
        """Leave the group."""
        await self._weather.pause("consumer.leave")
        self.vanish()

    def vanish(self) -> None:
        """Be gone, with all connections."""
        if self._hear in self._topics.listeners:
            self._topics.listeners.remove(self._hear)
        self._group.expel(self)

    def expelled(self) -> None:
        """The group goes on without this member, which learns of it at its next read."""
        self._group.expel(self)
        self.wake()

    def wake(self) -> None:
        """Something happened that `getmany` may have waited for."""
        if self._waiter is not None:
            _end(self._waiter, has_changed=True)

    def assignment(self) -> set[TopicPartition]:
        """Return what is read at present."""
        return set(self._positions)

    async def position(self, partition: TopicPartition) -> int:
        """Return where the next read begins: behind markers and what was aborted, where nothing else waits."""
        position = self._positions[partition]
        if not self._topics.read(partition.topic, partition.partition, position, 1):
            position = max(position, self._topics.end_offset(partition.topic, partition.partition))
            self._positions[partition] = position
        return position

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from an offset."""
        self._positions[partition] = offset

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep the offsets in the group. Raises CommitFailedError when it went on without this member."""
        await self._weather.pause("consumer.commit")
        if self not in self._group.members or self._generation != self._group.generation:
            raise CommitFailedError("the group has gone on")
        self._group.committed.update(offsets)
        await self._weather.pause("consumer.committed")

    async def getmany(
        self, *, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[StoredRecord]]:
        """Return records that wait, of some partitions, within the timeout. Joins the group anew where it has to."""
        await self._weather.pause("consumer.poll")
        deadline_s = timeout_ms / 1000 if self._patience_s is None else self._patience_s
        if self._generation != self._group.generation or self not in self._group.members:
            await self._rejoin()
        found = self._take(max_records)
        if not found:
            if not await self._wait(deadline_s):
                return {}
            await self._weather.pause("consumer.fetched")
            if self._generation == self._group.generation:
                found = self._take(max_records)
        return found

    def _take(self, max_records: int | None) -> dict[TopicPartition, list[StoredRecord]]:
        found: dict[TopicPartition, list[StoredRecord]] = {}
        room = max_records or 500
        for partition, position in self._positions.items():
            records = self._topics.read(partition.topic, partition.partition, position, room)
            if records:
                found[partition] = records
                self._positions[partition] = records[-1].offset + 1
                room -= len(records)
            if room <= 0:
                break
        return found

    async def _rejoin(self) -> None:
        revoked, self._positions = self._positions, {}
        if revoked:
            await self._listener.on_partitions_revoked(set(revoked))
        if self not in self._group.members:
            self._group.join(self)
        while (assigned := self._assigned()) is None:
            self._group.settle(self)
            if self._assigned() is None:
                await self._wait(None)
                await self._weather.pause("consumer.rejoin")
                if self not in self._group.members:
                    self._group.join(self)
        self._generation = self._group.generation
        self._positions = {partition: self._group.committed.get(partition, 0) for partition in assigned}
        await self._listener.on_partitions_assigned(set(assigned))

    def _assigned(self) -> list[TopicPartition] | None:
        return self._group.assigned_to(self)

    async def _wait(self, timeout_s: float | None) -> bool:
        """Wait for `wake`; tell whether it came in time."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        timer = None if timeout_s is None else loop.call_later(timeout_s, _end, waiter)
        try:
            return await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _hear(self, topic: str, partition: int) -> None:
        """A broker answers a fetch when there is something on a partition that was asked for."""
        if self._waiter is not None and (topic, partition) in self._positions:
            self.wake()


def _end(waiter: asyncio.Future[bool], *, has_changed: bool = False) -> None:
    if not waiter.done():
        waiter.set_result(has_changed)
