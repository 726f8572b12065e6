"""The engine's process: a Faust agent delivers commands, a worker for each partition decides and commits them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import faust
import structlog
import uvloop
from faust.types import TP
from prometheus_client import start_http_server

from infra.clock import clock_of
from infra.garbage import collect_rarely
from infra.kafka.catalog_view import CatalogView
from infra.kafka.command_sender import CommandSender
from infra.kafka.faust_transport import EngineApp, QuietMonitor, RawSchema
from infra.kafka.fenced_log import FencedLog
from infra.kafka.topics import topics_of
from infra.rocksdb.store import open_store
from processors.decisions import Incoming
from processors.journal import Journal
from processors.worker import Delivery, PartitionWorker

if TYPE_CHECKING:
    from domain.ports import Clock
    from infra.kafka.faust_transport import EngineConsumer
    from infra.settings import Settings

log = structlog.get_logger(__name__)

SESSION_TIMEOUT_S = 10.0
HEARTBEAT_S = 3.0
REQUEST_TIMEOUT_S = 90.0
BUFFER_MAX = 8_192
EXIT_CODE_RETRY = 70
"""Ended on purpose: whoever supervises starts the process again."""


def run(settings: Settings) -> None:
    """Run one engine worker until it is told to stop."""
    collect_rarely()
    uvloop.install()
    asyncio.set_event_loop(asyncio.new_event_loop())
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.api_host)
    app = build_app(settings)
    # Its spinner and its words (" OK ^") are for a person at a terminal: in a log they are lines that mean nothing.
    worker = faust.Worker(app, loglevel="WARNING", override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()


def build_app(settings: Settings) -> faust.App:
    """Compose the engine."""
    topics_of(settings)
    data_dir = settings.store_dir / settings.worker_id
    data_dir.mkdir(parents=True, exist_ok=True)
    app = EngineApp(
        f"{settings.topic_prefix}-engine",
        broker=f"kafka://{settings.kafka_bootstrap}",
        store="memory://",
        datadir=str(data_dir / "faust"),
        topic_partitions=settings.partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFER_MAX,
        broker_commit_interval=1.0,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_request_timeout=REQUEST_TIMEOUT_S,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{settings.topic_prefix}-engine-{settings.worker_id}",
        Monitor=QuietMonitor,
    )
    Engine(app, settings, clock_of(settings))
    return app


class Engine:
    """The workers of this process, opened and closed as the group gives and takes partitions."""

    def __init__(self, app: faust.App, settings: Settings, clock: Clock) -> None:
        """Hook into the app's life and register the agent."""
        self._app = app
        self._settings = settings
        self._clock = clock
        self._topics = topics_of(settings)
        self._workers: dict[int, PartitionWorker] = {}
        self._catalogue = CatalogView(
            bootstrap=settings.kafka_bootstrap, topic=self._topics.catalog, partitions=settings.partitions
        )
        self._sender = CommandSender(settings.kafka_bootstrap, self._topics.commands, partitions=settings.partitions)
        self._is_started = False
        commands = app.topic(self._topics.commands, schema=RawSchema(), partitions=settings.partitions)
        app.agent(commands, name="engine")(self._deliver)
        app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]  # the stubs know no keywords
        app.on_rebalance_complete.connect(self._on_rebalance_complete)  # type: ignore[arg-type]

    async def _deliver(self, stream: Any) -> None:
        """The agent's body. Nothing may leave it: Faust would ack and lose the message."""
        async for event in stream.noack().events():
            try:
                message = event.message
                worker = self._workers.get(message.partition)
                if worker is not None:
                    incoming = Incoming(
                        message.topic, message.partition, message.offset, message.key, message.value, message.headers
                    )
                    await worker.offer(Delivery(incoming, event))
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # the only safe answer to a bug here is to start again
                log.exception("engine.delivery.failed")
                give_up(f"delivery: {error!r}")

    async def _on_revoked(self, app: faust.App, revoked: set[TP], **_: Any) -> None:
        """Close what was taken away."""
        for tp in revoked:
            worker = self._workers.pop(tp.partition, None) if tp.topic == self._topics.commands else None
            if worker is not None:
                await worker.close()

    async def _on_rebalance_complete(self, app: faust.App, **_: Any) -> None:
        """Open what was given, before Faust asks where to go on."""
        try:
            await self._open_assigned()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # without an open journal nothing may be delivered
            log.exception("engine.opening.failed")
            give_up(f"opening: {error!r}")

    async def _open_assigned(self) -> None:
        if not self._is_started:
            self._is_started = True
            self._sender.start()
            await self._catalogue.start()
        app = self._app
        cast("EngineConsumer", app.consumer).position_in_log = self._position_in_log
        assigned = {tp.partition for tp in app.consumer.assignment() if tp.topic == self._topics.commands}
        running = {number for number, worker in self._workers.items() if worker.is_running}
        for number in set(self._workers) - (assigned & running):
            await self._workers.pop(number).close()
        begin = time.perf_counter()
        new = {number: self._worker(number) for number in sorted(assigned - set(self._workers))}
        self._workers.update(new)
        await asyncio.gather(*(worker.open() for worker in new.values()))
        collect_rarely()
        log.info(
            "engine.partitions.ready",
            partitions=sorted(self._workers),
            opened=len(new),
            seconds=round(time.perf_counter() - begin, 3),
        )

    def _position_in_log(self, partition: int) -> int | None:
        worker = self._workers.get(partition)
        return None if worker is None else worker.next_command_offset

    def _worker(self, partition: int) -> PartitionWorker:
        settings, topics = self._settings, self._topics
        path = Path(settings.store_dir) / settings.worker_id / f"{settings.topic_prefix}-{partition}"
        journal = Journal(
            partition=partition,
            log_of_partition=FencedLog(
                bootstrap=settings.kafka_bootstrap,
                transactional_id=f"{settings.topic_prefix}-engine-{partition}",
                partition=partition,
                events_topic=topics.events,
                topics=topics.written_with_events,
            ),
            open_store=lambda: open_store(path),
            topics=topics,
            clock=self._clock,
            catalogue=self._catalogue,
            policies=settings.policies,
            partitions=settings.partitions,
            renewals_max=max(1, settings.renewals_max // settings.partitions),
        )
        tp = TP(topics.commands, partition)
        return PartitionWorker(
            journal,
            sender=self._sender,
            is_assigned=lambda: tp in {TP(a.topic, a.partition) for a in self._app.consumer.assignment()},
            give_up=give_up,
        )


def give_up(reason: str) -> None:
    """End the process at once, so that everything that was not committed is delivered again."""
    log.critical("engine.gave_up", reason=reason)
    os._exit(EXIT_CODE_RETRY)
