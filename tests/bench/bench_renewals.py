"""Many renewals due at once: one engine, one gateway, one sandbox, until every customer is charged once.

Its data is made without the provider: three commands for each customer give a running subscription with a saved card.
Then the development clock leaps to three days before the end, where the policy tries renewals first.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from infra.clock import DevelopmentClock
from infra.embedded.process import LOOPBACK, free_port, is_listening
from infra.kafka.log_reader import open_log
from infra.kafka.topics import Topics, create_topics
from infra.rocksdb.store import RocksStore
from infra.sandbox.settings import DEFAULT_SECRET_KEY
from infra.settings import Settings
from processors.partition import PartitionState
from schemas.envelope import read_event
from tests.bench.bench_engine import send_all
from tests.bench.made_log import PARTITIONS
from tests.bench.renewal_day import COMMANDS_PER_ACCOUNT, PRICE, Sandbox, account_of, catalogue_command, purchases
from tests.chaos.roles import role

if TYPE_CHECKING:
    from domain.subscriptions.events import SubscriptionStarted
    from infra.embedded.process import ChildProcess
    from tests.stack import Stack

RENEWALS = 100_000
STARTED = "billing.subscription.started"
ATTEMPTED = "billing.subscription.renewal_attempted"
RENEWED = "billing.subscription.renewed"
REPEATED = "billing.payment.call_repeated"
ACCEPTED = "billing.command.accepted"
RECORDS_PER_RENEWAL = 8
"""At least so many records has the log of each: until there are, nobody has to look closer."""
POLL_S = 1.0
PROGRESS_S_MAX = 120.0
"""How long nothing may happen before the run is given up."""
SHOWN_EVERY_S = 15.0
START_S = 60.0
OPENING_S = 10.0


def run(stack: Stack, renewals: int = RENEWALS) -> dict[str, Any]:
    """Measure with so many subscriptions."""
    topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
    sandbox_port, metrics_port = free_port(), free_port()
    sandbox_url = f"http://{LOOPBACK}:{sandbox_port}"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as roles:
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=stack.kafka_bootstrap,
            database_url=stack.database_url,
            topic_prefix=topics.prefix,
            partitions=PARTITIONS,
            data_dir=Path(folder),
            sandbox_url=sandbox_url,
            stripe_secret_key=SecretStr(DEFAULT_SECRET_KEY),
        )
        asyncio.run(create_topics(stack.kafka_bootstrap, topics, partitions=PARTITIONS))
        served = role(
            settings, "sandbox", "serve", name="sandbox-0", SANDBOX_PORT=str(sandbox_port), SANDBOX_URL=sandbox_url
        )
        sandbox_role = roles.enter_context(served)
        sandbox_role.wait_until(lambda: is_listening(sandbox_port), what="the sandbox", timeout_s=START_S)
        engine = roles.enter_context(role(settings, "worker", "engine", name="engine-0"))
        day = RenewalDay(settings, topics, renewals, Sandbox(sandbox_url, DEFAULT_SECRET_KEY), metrics_port)
        asyncio.run(day.prepare())
        gateway = roles.enter_context(
            role(
                settings,
                *("worker", "gateway"),
                name="gateway-0",
                METRICS_PORT=str(metrics_port),
                STRIPE_API_BASE=sandbox_url,
                STRIPE_SECRET_KEY=DEFAULT_SECRET_KEY,
            )
        )
        gateway.wait_until(lambda: is_listening(metrics_port), what="the gateway", timeout_s=START_S)
        figures = asyncio.run(day.measure({"engine": engine, "gateway": gateway, "sandbox": sandbox_role}))
        day.check_charges()
        gateway.stop()
        engine.stop()
        day.check_timers()
    return figures


class RenewalDay:
    """Everything that happens on the day, seen from outside: the log, the provider's books, the store that is left."""

    def __init__(self, settings: Settings, topics: Topics, renewals: int, sandbox: Sandbox, metrics_port: int) -> None:
        self._settings = settings
        self._bootstrap = settings.kafka_bootstrap
        self._topics = topics
        self._renewals = renewals
        self._sandbox = sandbox
        self._metrics_url = f"http://{LOOPBACK}:{metrics_port}/metrics"
        self._clock = DevelopmentClock(settings.clock_path)
        self._tally = Tally()

    async def prepare(self) -> None:
        """Sell all subscriptions, and leave nothing of that for the gateway."""
        self._sandbox.send_no_webhooks()
        customer, method = self._sandbox.save_card()
        await send_all(self._bootstrap, self._topics, [catalogue_command()])
        await self._until(ACCEPTED, 1, records=1)
        await send_all(self._bootstrap, self._topics, purchases(self._renewals, customer, method, datetime.now(UTC)))
        commands = 1 + COMMANDS_PER_ACCOUNT * self._renewals
        await self._until(ACCEPTED, commands, records=commands)
        assert self._tally.count(STARTED) == self._renewals, f"{self._tally.count(STARTED)} subscriptions started"
        await self._pass_effects()

    async def _pass_effects(self) -> None:
        """Commit the end of the effects for the gateway's group: the pages of the sales are not made at the sandbox."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=f"{self._topics.prefix}.gateway", enable_auto_commit=False
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(self._topics.effects, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))
        finally:
            await consumer.stop()

    async def measure(self, children: dict[str, ChildProcess]) -> dict[str, Any]:
        """Leap to the day, and watch until everybody has renewed."""
        processes = {name: psutil.Process(child.pid) for name, child in children.items()}
        broker = _listener(int(self._bootstrap.rpartition(":")[2]))
        if broker is not None:
            processes["broker"] = broker
        await asyncio.sleep(OPENING_S)  # the gateway joins its group: before the day, so that the day is not about that
        before = {name: _cpu_s(process) for name, process in processes.items()}
        machine_before, begin_at = _machine_cpu_s(), time.time()
        markers_before = self._tally.markers
        assert self._tally.renew_at is not None, "no subscription has a day on which it renews"
        ahead = self._tally.renew_at - self._clock.now() + timedelta(seconds=1)
        assert ahead > timedelta(0), "the day has come too early"
        self._clock.advance(timedelta(seconds=int(ahead.total_seconds()) + 1))
        await self._until(RENEWED, self._renewals, records=RECORDS_PER_RENEWAL * self._renewals)
        used = {name: _cpu_s(process) - before[name] for name, process in processes.items()}
        machine_s, watched_s = _machine_cpu_s() - machine_before, time.time() - begin_at
        tally = self._tally
        seconds = (tally.last_ms[RENEWED] - tally.first_ms[ATTEMPTED]) / 1_000
        attempting_s = (tally.last_ms[ATTEMPTED] - tally.first_ms[ATTEMPTED]) / 1_000
        calls = self._calls()
        return {
            "renewals": self._renewals,
            "renewals_per_s": round(self._renewals / seconds),
            "seconds": round(seconds, 1),
            "attempted_per_s": round(self._renewals / attempting_s),
            "attempting_s": round(attempting_s, 1),
            "until_first_attempt_s": round(tally.first_ms[ATTEMPTED] / 1_000 - begin_at, 1),
            "gateway_calls": calls,
            "gateway_calls_per_s": round(calls / seconds),
            "repeated_effects": tally.count(REPEATED),
            "transactions": tally.markers - markers_before,
            "under_way_max": sum(tally.under_way_max.values()),
            "answer_p50_s": round(statistics.median(tally.answered_ms) / 1_000, 1),
            "answer_p99_s": round(statistics.quantiles(tally.answered_ms, n=100)[98] / 1_000, 1),
            "cpu_us_per_renewal": {name: round(value / self._renewals * 1e6) for name, value in used.items()},
            "busy_cores": {name: round(value / watched_s, 2) for name, value in used.items()},
            "busy_cores_of_others": round(max(0.0, machine_s - sum(used.values())) / watched_s, 2),
            "memory_mib": {name: round(process.memory_info().rss / 2**20) for name, process in processes.items()},
            "cores": psutil.cpu_count(),
        }

    def check_charges(self) -> None:
        """Everybody was charged the price once at the provider, and renewed once in the log."""
        accounts = {account_of(number): 1 for number in range(self._renewals)}
        charged = self._sandbox.charged()
        self._sandbox.close()
        assert Counter(account for account, _ in charged) == accounts, "somebody was not charged exactly once"
        assert {amount for _, amount in charged} == {PRICE.amount.amount}, "somebody was charged another amount"
        assert self._tally.accounts[RENEWED] == accounts, "somebody did not renew exactly once"
        assert self._tally.accounts[ATTEMPTED] == accounts, "somebody was tried more than once"
        # A call that was repeated may have been unanswered for so long that it holds no other back any more.
        share, most = self._settings.renewals_max // PARTITIONS, max(self._tally.under_way_max.values())
        assert most <= share or self._tally.count(REPEATED), f"{most} renewals of a partition under way, not {share}"

    def check_timers(self) -> None:
        """No account waits for something that is over: what the engine left in its stores tells."""
        now = self._clock.now()
        for number in range(PARTITIONS):
            path = self._settings.store_dir / self._settings.worker_id / f"{self._topics.prefix}-{number}"
            state = PartitionState(RocksStore(path))
            try:
                assert not (late := state.due(now, 10)), f"open timers are overdue: {late}"
            finally:
                state.close()

    def _calls(self) -> int:
        """How many calls the gateway says it has made, repeats included."""
        lines = httpx.get(self._metrics_url).text.splitlines()
        counts = (line.rpartition(" ")[2] for line in lines if line.startswith("billing_gateway_call_seconds_count"))
        return int(sum(map(float, counts)))

    async def _until(self, kind: str, count: int, *, records: int) -> None:
        """Until the log has so many of a kind. Below so many new records, only its end is looked at, which is cheap."""
        size, changed_at = -1, time.monotonic()
        shown_at, before, expected = changed_at, self._tally.size, records
        async with open_log(self._bootstrap, self._topics.events) as log:
            while True:
                ends = await log.end_offsets()
                if sum(ends.values()) != size:
                    size, changed_at = sum(ends.values()), time.monotonic()
                    if size - self._tally.size >= records:
                        await self._tally.read(log, ends)
                        records = 0
                if self._tally.count(kind) >= count:
                    return
                if time.monotonic() - shown_at >= SHOWN_EVERY_S:
                    shown_at = time.monotonic()
                    sys.stderr.write(f"  {kind}: the log has {size - before:,} records more, of about {expected:,}\n")
                silent_s = time.monotonic() - changed_at
                assert silent_s < PROGRESS_S_MAX, f"{self._tally.count(kind)} of {count} {kind}, and nothing happens"
                await asyncio.sleep(POLL_S)


@dataclass(slots=True)
class Tally:
    """What stands in the log so far; each record is looked at once."""

    next_offsets: dict[int, int] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    accounts: dict[str, Counter[str]] = field(default_factory=lambda: {ATTEMPTED: Counter(), RENEWED: Counter()})
    first_ms: dict[str, int] = field(default_factory=dict)
    last_ms: dict[str, int] = field(default_factory=dict)
    under_way_max: dict[int, int] = field(default_factory=dict)
    """By partition: how many renewals at most had been tried and were not answered."""
    answered_ms: list[int] = field(default_factory=list)
    """How long each answer took, from the decision to the money: whoever orders meanwhile waits as long for a page."""
    _asked_ms: dict[int, dict[str, int]] = field(default_factory=dict)
    renew_at: datetime | None = None
    """When the last of the subscriptions is due."""

    @property
    def size(self) -> int:
        """How far the log was read, over all partitions."""
        return sum(self.next_offsets.values())

    @property
    def markers(self) -> int:
        """How many offsets hold no record: the engine's transactions end in them."""
        return self.size - self.kinds.total()

    def count(self, kind: str) -> int:
        """How many of this type there are."""
        return self.kinds[kind]

    async def read(self, log: Any, ends: dict[int, int]) -> None:
        """Go on to these ends."""
        for partition, end in ends.items():
            start = self.next_offsets.get(partition, 0)
            if start == end:
                continue
            async for record in log.read(partitions=[partition], start=start, ends={partition: end}):
                self._take(partition, record)
            self.next_offsets[partition] = end

    def _take(self, partition: int, record: Any) -> None:
        kind = next(value for name, value in record.headers if name == "ce_type").decode()
        self.kinds[kind] += 1
        if kind in self.accounts:
            account = record.key.decode()
            self.accounts[kind][account] += 1
            asked = self._asked_ms.setdefault(partition, {})
            if kind == ATTEMPTED:
                asked[account] = record.timestamp_ms
                self.under_way_max[partition] = max(self.under_way_max.get(partition, 0), len(asked))
            elif account in asked:
                self.answered_ms.append(record.timestamp_ms - asked.pop(account))
            self.first_ms[kind] = min(self.first_ms.get(kind, record.timestamp_ms), record.timestamp_ms)
            self.last_ms[kind] = max(self.last_ms.get(kind, 0), record.timestamp_ms)
        elif kind == STARTED:
            started = cast("SubscriptionStarted", read_event(record.key, record.value, record.headers).data)
            self.renew_at = max(self.renew_at or datetime.min.replace(tzinfo=UTC), cast("datetime", started.renew_at))


def _cpu_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _machine_cpu_s() -> float:
    """What all programs of the machine have used, ours and others'."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _listener(port: int) -> psutil.Process | None:
    """The process of this machine that listens there; None where it may not be seen, or runs in a container."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    pids = (one.pid for one in found if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid)
    return next((psutil.Process(pid) for pid in pids), None)
