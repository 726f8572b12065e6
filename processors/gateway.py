"""The gateway worker: carries out effects at the payment providers and sends what they said back as commands.

Delivery is at least once on both sides, and both sides know a repeat: the provider by the effect's id, which is its
idempotency key, the engine by the command's id, which is derived from it. So a record counts as done only when its
answer has been acknowledged by the broker, and whatever is in doubt is simply done again.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from domain.ids import CommandId, derive
from infra.clock import clock_of
from infra.ending import end_process_after, stop_when_asked
from infra.kafka.command_sender import CommandSender
from infra.kafka.dead_letter_sender import DeadLetterSender
from infra.kafka.dead_letters import dead_letter_of
from infra.kafka.tolerant_records import accept_any_header_name
from infra.kafka.topics import topics_of
from infra.logging import get_logger
from processors.gateway_call import ask
from processors.gateway_order import Lanes, PartitionProgress, Taken
from processors.gateway_sweep import Sweep
from processors.gateway_writer import GatewayWriter
from schemas.codec import WireError
from schemas.envelope import new_command, read_effect
from schemas.messages import RelayedCommand
from schemas.relay import relay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka import ConsumerRecord, TopicPartition

    from domain.ports import Clock, PaymentProvider
    from infra.settings import Settings

accept_any_header_name()
log = get_logger(__name__)

ROLE = "gateway"
SOURCE = "billing/gateway"
CALL_TIMEOUT_S = 60.0
"""Behind the deadlines of the adapters themselves."""
IN_HAND_PER_CALL = 8
"""Records in hand for each call at once: enough that accounts with many effects do not idle the others' room."""
POLL_TIMEOUT_MS = 250
COMMIT_INTERVAL_S = 1.0
COMMIT_TIMEOUT_S = 10.0
START_TIMEOUT_S = 60.0
START_RETRY_DELAY_S = 1.0
DRAIN_TIMEOUT_S = 10.0
REVOKE_TIMEOUT_S = 3.0
STOP_TIMEOUT_S = 5.0
POLL_FAILURES_MAX = 10

ANSWERS = Counter("billing_gateway_answers_total", "Answers of providers", ["provider", "effect", "status"])
DEAD_LETTERS = Counter("billing_gateway_dead_letters_total", "Effects that could not be read")
CALL_SECONDS = Histogram("billing_gateway_call_seconds", "Duration of calls to providers", ["provider", "effect"])
RUNNING = Gauge("billing_gateway_calls_running", "Calls to providers that run now")
IN_HAND = Gauge("billing_gateway_effects_in_hand", "Effects that were taken and are not done")


class Gateway(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """One worker of the group. `run` returns after `stop`, and raises when it cannot go on."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, PaymentProvider],
        clock: Clock,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        writer: GatewayWriter | None = None,
        new_consumer: Callable[[Gateway], Any] | None = None,
    ) -> None:
        """`writer` and `new_consumer` replace those to Kafka; the consumer tells the gateway of its partitions."""
        self._settings = settings
        self._topics = topics_of(settings)
        self._providers = providers
        self._clock = clock
        self._call_timeout_s = call_timeout_s
        self._client_id = f"{ROLE}-{settings.worker_id}"
        self._writer = writer or self._kafka_writer()
        self._new_consumer = new_consumer or Gateway._kafka_consumer
        self._lanes = Lanes(self._handle, concurrency=settings.gateway_concurrency)
        self._in_hand_max = settings.gateway_concurrency * IN_HAND_PER_CALL
        self._progress: dict[TopicPartition, PartitionProgress] = {}
        self._sweep = Sweep(
            providers.values(),
            clock,
            self._writer.send_answer,
            interval_s=settings.gateway_sweep_interval_s,
            call_timeout_s=call_timeout_s,
        )
        self._consumer: Any = None
        self._commit_due_s = 0.0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more; `run` returns when what runs is done or its time is over."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Raises when the broker stays away: nothing is lost then, it is done again."""
        self._writer.start()
        sweeping = asyncio.create_task(self._sweep.run())
        try:
            await self._start()
            await self._consume()
            await self._lanes.drain(DRAIN_TIMEOUT_S)
            await self._commit()
        finally:
            sweeping.cancel()
            await self._close()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Leave what has not begun to the next owner, let what runs end within a bound, and commit what is done."""
        self._sweep.assign(is_ours=False)
        left = [progress for partition in revoked if (progress := self._progress.get(partition))]
        for progress in left:
            progress.is_revoked = True
        deadline = _now_s() + REVOKE_TIMEOUT_S
        while any(progress.running for progress in left) and (rest_s := deadline - _now_s()) > 0:
            await self._lanes.wait_for_change(rest_s)
        await self._commit()
        for partition in revoked:
            self._progress.pop(partition, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin at the committed offsets with nothing in hand."""
        self._progress = {partition: PartitionProgress() for partition in assigned}
        self._sweep.assign(is_ours=any(partition.partition == 0 for partition in assigned))
        log.info("gateway.partitions.assigned", partitions=sorted(partition.partition for partition in assigned))

    async def _start(self) -> None:
        """Join the group; a broker that is not there yet is waited for, within a bound."""
        deadline = _now_s() + START_TIMEOUT_S
        while True:
            consumer = self._new_consumer(self)
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await consumer.start()
            except (KafkaError, TimeoutError, OSError) as error:
                await _bounded_stop(consumer)
                if _now_s() > deadline or self._stopping.is_set():
                    raise
                log.warning("gateway.start.retried", error=repr(error))
                await asyncio.sleep(START_RETRY_DELAY_S)
            else:
                self._consumer = consumer
                return

    def _kafka_writer(self) -> GatewayWriter:
        bootstrap, partitions = self._settings.kafka_bootstrap, self._settings.partitions
        return GatewayWriter(
            CommandSender(bootstrap, self._topics.commands, partitions=partitions),
            DeadLetterSender(bootstrap, self._topics.dead_letters),
        )

    def _kafka_consumer(self) -> Any:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            client_id=self._client_id,
            group_id=f"{self._topics.prefix}.gateway",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
        )
        consumer.subscribe([self._topics.effects], listener=self)
        return consumer

    async def _consume(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            if self._lanes.failure is not None:
                raise self._lanes.failure
            room = self._in_hand_max - self._lanes.size
            try:
                if room <= 0:
                    await self._lanes.wait_for_change(POLL_TIMEOUT_MS / 1000)
                else:
                    self._take(await self._consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=room))
                failures = 0
            except KafkaError as error:
                failures += 1
                log.warning("gateway.poll.failed", error=repr(error), failures=failures)
                if failures >= POLL_FAILURES_MAX:
                    raise
                await asyncio.sleep(START_RETRY_DELAY_S)
            self._sweep.look()
            IN_HAND.set(self._lanes.size)
            if _now_s() >= self._commit_due_s:
                await self._pass_markers()
                await self._commit()

    def _take(self, batches: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        for partition, records in batches.items():
            progress = self._progress.get(partition)
            if progress is None or progress.is_revoked:
                continue
            for record in records:
                self._lanes.put(Taken(record, progress))

    async def _handle(self, record: ConsumerRecord) -> None:
        """Carry out one effect. Returns when its answer, or its dead letter, is in the log for sure."""
        try:
            effect = read_effect(record.key, record.value, record.headers)
            if isinstance(effect.data, RelayedCommand):
                command = relay(effect, effect.data, at=self._clock.now(), source=SOURCE, actor=ROLE)
                await self._writer.send_answer(command)
                return
        except WireError as error:
            await self._writer.send_dead_letter(dead_letter_of(record, reason=str(error), role=ROLE))
            DEAD_LETTERS.inc()
            where = f"{record.topic}:{record.partition}:{record.offset}"
            log.warning("gateway.effect.unreadable", record=where, reason=str(error))
            return
        provider = effect.data.provider if effect.data.provider in self._providers else "unconfigured"
        labels = (provider, effect.type)
        with RUNNING.track_inprogress(), CALL_SECONDS.labels(*labels).time():
            answered = await ask(self._providers, effect.data, account=effect.key, timeout_s=self._call_timeout_s)
        ANSWERS.labels(*labels, answered.answer.status).inc()
        log.info(
            "gateway.effect.answered",
            effect=effect.type,
            payment_id=effect.data.payment_id,
            attempt=effect.data.attempt,
            status=answered.answer.status,
            correlation_id=effect.correlation_id,
        )
        await self._writer.send_answer(
            new_command(
                command_id=CommandId(derive(effect.data.effect_id, f"answer {effect.data.attempt}")),
                key=effect.key,
                time=self._clock.now(),
                source=SOURCE,
                actor=ROLE,
                data=answered,
                correlation_id=effect.correlation_id,
                causation_id=effect.id,
            )
        )

    async def _pass_markers(self) -> None:
        for partition, progress in tuple(self._progress.items()):
            if progress.is_idle and partition in self._consumer.assignment():
                progress.reach(await self._consumer.position(partition))

    async def _commit(self) -> None:
        """Commit what is done in its order. A commit that fails is made up for by the next: work is only repeated."""
        self._commit_due_s = _now_s() + COMMIT_INTERVAL_S
        due = {
            partition: offset
            for partition, progress in self._progress.items()
            if (offset := progress.to_commit()) is not None
        }
        if not due:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(due)
        except (KafkaError, TimeoutError) as error:
            log.warning("gateway.commit.failed", error=repr(error))
            return
        for partition, offset in due.items():
            if (progress := self._progress.get(partition)) is not None:
                progress.committed(offset)

    async def _close(self) -> None:
        await self._lanes.drain(0)
        if self._consumer is not None:
            await _bounded_stop(self._consumer)
        await self._writer.stop()
        for provider in self._providers.values():
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await provider.close()
            except Exception as error:  # an adapter that cannot close must not hide why we end
                log.warning("gateway.provider.not_closed", provider=provider.name, error=type(error).__name__)


def _now_s() -> float:
    """The event loop's own time: monotonic, and virtual where the loop's is."""
    return asyncio.get_running_loop().time()


def providers_of(settings: Settings, clock: Clock) -> dict[str, PaymentProvider]:
    """Return the providers that are configured, by name."""
    from infra.stripe.adapter import StripeOptions, StripeProvider

    providers: list[PaymentProvider] = []
    if key := settings.stripe_secret_key.get_secret_value():
        options = StripeOptions(return_url=settings.api_url, api_base=settings.stripe_api_base)
        providers.append(StripeProvider(key, clock, options))
    return {provider.name: provider for provider in providers}


def run(settings: Settings, providers: Mapping[str, PaymentProvider] | None = None) -> None:
    """Work until SIGTERM or SIGINT. Ends the process with status 1 when it cannot go on; a supervisor restarts it.

    `providers` are those that the settings configure, where none are given.
    """
    if settings.metrics_port:
        try:
            start_http_server(settings.metrics_port, addr=settings.api_host)
        except OSError as error:
            reason = f"the port {settings.metrics_port} for metrics: {error}"
            log.error("gateway.failed", reason=reason)  # noqa: TRY400  # a taken port needs no stack trace
            sys.exit(1)
    code = asyncio.run(_main(settings, providers))
    if code:
        sys.exit(code)


async def _main(settings: Settings, providers: Mapping[str, PaymentProvider] | None) -> int:
    clock = clock_of(settings)
    gateway = Gateway(settings, providers_of(settings, clock) if providers is None else providers, clock)
    stop_when_asked(gateway.stop)
    log.info("gateway.started", concurrency=settings.gateway_concurrency)
    try:
        await gateway.run()
    except Exception:
        log.exception("gateway.failed")
        end_process_after(STOP_TIMEOUT_S)
        return 1
    log.info("gateway.stopped")
    end_process_after(STOP_TIMEOUT_S)
    return 0


async def _bounded_stop(consumer: Any) -> None:
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await consumer.stop()
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("gateway.consumer.abandoned", error=repr(error))
        await consumer._client.close()  # no public way: `stop` waits for a broker that does not answer
