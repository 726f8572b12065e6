"""Senders into topics in memory, with the contracts of those to Kafka: what is not acknowledged is not known."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from aiokafka.partitioner import DefaultPartitioner

from infra.kafka.command_sender import CommandPosition, SendRefusedError, SendUnknownError
from infra.kafka.dead_letter_sender import DeadLetterNotSentError
from infra.kafka.fenced_log import Record
from infra.memory.weather import GOOD_WEATHER, Weather
from schemas.envelope import command_body, command_headers

if TYPE_CHECKING:
    from infra.kafka.dead_letters import DeadLetter
    from infra.memory.log import MemoryTopics
    from schemas.envelope import CommandRecord


@lru_cache(65_536)
def _partition_of(key: bytes, partitions: int) -> int:
    numbers = list(range(partitions))
    return int(DefaultPartitioner()(key, numbers, numbers))


class MemoryCommandSender:
    """Appends commands to their partitions."""

    def __init__(self, topics: MemoryTopics, topic: str, *, partitions: int, weather: Weather = GOOD_WEATHER) -> None:
        self._topics = topics
        self._topic = topic
        self._weather = weather
        self._partitions = partitions

    def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    def partition_of(self, key: bytes) -> int:
        """Return the partition of a key, the same as on Kafka."""
        return _partition_of(key, self._partitions)

    async def send(self, command: CommandRecord) -> CommandPosition:
        """Return when the topic has the command. Raises SendRefusedError, SendUnknownError."""
        await self._weather.pause("command.send")
        if self._weather.strikes("command.refused"):
            raise SendRefusedError("too much is under way")
        if self._weather.strikes("command.lost"):
            raise SendUnknownError("the request was lost")
        key = command.key.encode()
        partition = self.partition_of(key)
        record = Record(key, command_body(command), command_headers(command))
        offset = self._topics.append(self._topic, partition, record)
        await self._weather.pause("command.sent")
        if self._weather.strikes("command.unacknowledged"):
            raise SendUnknownError("the acknowledgement was lost")
        return CommandPosition(partition, offset)


class MemoryDeadLetterSender:
    """Appends dead letters."""

    def __init__(self, topics: MemoryTopics, topic: str, *, weather: Weather = GOOD_WEATHER) -> None:
        self._topics = topics
        self._topic = topic
        self._weather = weather

    async def send(self, letter: DeadLetter) -> None:
        """Return when the topic has it. Raises DeadLetterNotSentError."""
        await self._weather.pause("dead_letter.send")
        if self._weather.strikes("dead_letter.lost"):
            raise DeadLetterNotSentError("no acknowledgement")
        self._topics.append(self._topic, 0, Record(letter.key, letter.value, letter.headers))
