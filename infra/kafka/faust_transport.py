"""Faust's Kafka transport with the changes that the engine needs, each measured.

- A partition goes on where the log says, not where the group's committed offset says: that one is a hint which can be
  ahead of what was done.
- The two tasks that Faust makes for every message are left out, which nearly doubles what a worker can take.
- Keys and values are handed over as they came, without asking Faust's registry of serializers twice a message.
- A sticky assignor keeps a partition where its state is warm.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import faust
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faust.sensors.monitor import Monitor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from infra.kafka.tolerant_records import accept_any_header_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

accept_any_header_name()


class EngineConsumer(driver.Consumer):
    """A consumer that asks the journals where to go on."""

    position_in_log: Callable[[int], int | None] = staticmethod(lambda partition: None)
    """Set by the engine: the next command offset of a partition, or None where the log has no outcome."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every partition to where its log says, the ones without any outcome to their beginning."""
        assigned = [TP(tp.topic, tp.partition) for tp in self.assignment()]
        known = {tp: self.position_in_log(tp.partition) for tp in assigned}
        fresh = [tp for tp, offset in known.items() if offset is None]
        beginnings = await self.earliest_offsets(*fresh) if fresh else {}
        targets = {tp: int(beginnings.get(tp, 0)) if offset is None else offset for tp, offset in known.items()}
        for tp, offset in targets.items():
            await self._seek(tp, offset)
        return targets

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand over what is fetched, message by message, without a task for each.

        Also what stands before the offset that was asked for, which Faust's own drops: where the broker has lost
        commands, it goes back to the beginning, and new ones stand where old ones stood. A repeat is known by its id.
        """
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # as Faust's own does
                async for _, message in self.getmany(timeout=1.0):
                    await self.callback(message)
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise


class StickyThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with a sticky assignor in place of round robin."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no setting for it, and nothing has been assigned yet.
        self._assignor = StickyPartitionAssignor
        consumer._partition_assignment_strategy = [StickyPartitionAssignor]
        return consumer


class StickyConsumer(EngineConsumer):
    """The engine's consumer on the sticky thread."""

    def _new_consumer_thread(self) -> Any:
        return StickyThread(self, loop=self.loop, beacon=self.beacon)


class EngineTransport(driver.Transport):
    """The transport of the engine's Faust app."""

    Consumer = StickyConsumer


class EngineApp(faust.App):
    """A Faust app on the engine's transport."""

    def _new_transport(self) -> Any:
        return EngineTransport(self.conf.broker_consumer, self)


class RawSchema(faust.Schema[Any, Any]):
    """Bytes as they came."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return the function that makes an event of a message; nothing is decoded, so nothing can fail."""
        event = faust.Event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # the name that Faust passes
            return event(app, message.key, message.value, message.headers, message)

        return decode


class QuietMonitor(Monitor):
    """A monitor that leaves out what it would do for every single message."""

    def on_message_in(self, tp: TP, offset: int, message: Any) -> None:
        """Count nothing."""

    def on_stream_event_in(self, tp: TP, offset: int, stream: Any, event: Any) -> dict[str, Any] | None:
        """Time nothing."""
        return None

    def on_stream_event_out(self, tp: TP, offset: int, stream: Any, event: Any, state: Any = None) -> None:
        """Time nothing."""

    def on_message_out(self, tp: TP, offset: int, message: Any) -> None:
        """Count nothing."""

    def track_tp_end_offset(self, tp: TP, offset: int) -> None:
        """Remember nothing."""
