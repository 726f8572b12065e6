"""The catalogue as a local view of a topic in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from infra.kafka.catalog_view import CatalogView
from infra.memory.weather import GOOD_WEATHER, Weather

if TYPE_CHECKING:
    from infra.memory.log import MemoryTopics


class MemoryCatalogView(CatalogView):
    """The view of `infra.kafka`, fed from memory."""

    def __init__(self, topics: MemoryTopics, topic: str, *, partitions: int, weather: Weather = GOOD_WEATHER) -> None:
        super().__init__(bootstrap="", topic=topic, partitions=partitions)
        self._topics = topics
        self._weather = weather
        self._offsets = dict.fromkeys(range(partitions), 0)
        self._changed = asyncio.Event()

    def _hear(self, topic: str, partition: int) -> None:
        if topic == self._topic:
            self._changed.set()

    async def _read(self) -> None:
        self._topics.listeners.append(self._hear)
        try:
            while True:
                self._changed.clear()
                for partition, position in self._offsets.items():
                    records = self._topics.read(self._topic, partition, position)
                    for record in records:
                        self._take(record)
                    if records:
                        self._offsets[partition] = records[-1].offset + 1
                self._is_ready.set()
                await self._changed.wait()
                await self._weather.pause("catalog.fetched")
        finally:
            self._topics.listeners.remove(self._hear)
