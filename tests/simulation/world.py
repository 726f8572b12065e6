"""One history: roles, customers, provider and accidents on one virtual loop."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from domain.disputes.state import DisputeStatus
from domain.effects import RefundAnswerStatus
from domain.ids import CommandId
from domain.refunds.commands import AnswerRefund
from infra.kafka.command_sender import SendRefusedError, SendUnknownError
from infra.kafka.topics import Topics
from infra.memory.consumer import MemoryConsumer, MemoryGroup
from infra.memory.log import MemoryTopics
from infra.memory.provider import MemoryProvider
from infra.memory.sender import MemoryCommandSender
from infra.memory.store import MemoryStore
from infra.settings import Settings as ProductSettings
from schemas.envelope import new_command
from tests.simulation.catalogue import Shelf
from tests.simulation.customers import REPERTOIRE, Customer, live
from tests.simulation.process import TASKS_LOOKED_THROUGH, Climate, LocalWeather, Process
from tests.simulation.roles import EngineRole, GatewayRole, ProjectorRole
from tests.simulation.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from domain.reports import ProviderReport
    from tests.simulation.customers import Deed
    from tests.simulation.loop import VirtualLoop

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEND_ATTEMPTS = 20
SESSION_S = 10.0
RESTART_S = 3.0
STOP_S = 1_000.0
BOUNCES = 0.25
"""How often a bank does not take a refund."""
DISPUTE_S_MAX = 10 * 86_400.0
PROVIDER = "stripe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How large a history is and how bad it gets."""

    customers: int = 3
    deeds: int = 5
    """How many each customer does."""
    pause_s: float = 25.0
    """The mean time between two of them."""
    lasts_s: float | None = None
    """After how long customers who are not done are left alone."""
    repertoire: tuple[Deed, ...] = REPERTOIRE
    engines: int = 3
    """At most; a short history has fewer, as its seed says."""
    gateways: int = 2
    """Likewise."""
    partitions: int = 2
    timer_s: float = 10.0
    renewals_max: int = 1
    """How many renewals of a partition are under way at once: so few that they wait for each other."""
    sweep_s: float = 30.0
    """How often the provider is asked for what its webhooks may not have brought."""
    patience_s: float = 60.0
    accident_s: float = 15.0
    """The mean time between two accidents; 0: there are none."""
    skip_s: float = 25.0
    """The mean time between two jumps of the clock; 0: it goes as the loop's."""
    freeze: float | None = None
    """How likely a process stands still at a pause; the seed says it where nothing else is said."""
    disks_burn: float = 0.1
    """How likely an accident takes a store with it."""
    rest_s: float = 40.0
    """How long everybody is left alone between two looks for what is late."""
    rests_min: int = 3
    steps_max: int = 400_000
    is_long: bool = False
    """A long history has mild weather between its accidents."""


class VirtualClock:
    """The time of the business: the loop's, and what it was moved ahead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return BEGIN + self._ahead + timedelta(seconds=self._loop.time())

    def skip(self, by: timedelta) -> None:
        """Move on."""
        self._ahead += by


class SkewedClock:
    """The clock of one machine: a little before or behind the others."""

    def __init__(self, clock: VirtualClock, skew: timedelta) -> None:
        self._clock = clock
        self._skew = skew

    def now(self) -> datetime:
        """Return what this machine takes for the present moment in UTC."""
        return self._clock.now() + self._skew


@dataclass(slots=True)
class Roles:
    """The classes that a world is made of. A test that breaks something puts its own in their place."""

    engine: type[EngineRole] = EngineRole
    gateway: type[GatewayRole] = GatewayRole
    projector: type[ProjectorRole] = ProjectorRole


@dataclass(slots=True)
class Place:
    """Where a role runs: its newest process, and the disk that outlives them."""

    kind: str
    process: Process | None = None
    role: EngineRole | GatewayRole | ProjectorRole | None = None
    disk: dict[int, MemoryStore] = field(default_factory=dict)


@cache
def product_settings(sweep_s: float) -> ProductSettings:
    """Return the settings of the product's roles, of which few matter here."""
    return ProductSettings(_env_file=None, topic_prefix="billing", gateway_sweep_interval_s=sweep_s)


class World:
    """Everything that there is."""

    def __init__(self, loop: VirtualLoop, seed: int, settings: Settings, roles: Roles | None = None) -> None:
        self.loop = loop
        self.settings = settings
        self.partitions = settings.partitions
        self.roles = roles or Roles()
        self.random = Random(f"world {seed}")
        self.climate = _mild() if settings.is_long else _climate(self.random)
        if settings.freeze is not None:
            self.climate.freeze = settings.freeze
        self.weather = LocalWeather(self.climate, self.random)
        self.clock = VirtualClock(loop)
        self.names = Topics("billing")
        self.product_settings = product_settings(settings.sweep_s)
        self.topics = MemoryTopics()
        self.tables = Tables()
        self.shelf = Shelf()
        kept = timedelta(days=30) if settings.is_long else None
        self.provider = MemoryProvider(name=PROVIDER, now=self.clock.now, tell=self.hear, reports_kept=kept)
        self.engines = self._group(self.names.commands)
        self.gateways = self._group(self.names.effects)
        self.projectors = self._group(self.names.events)
        self._api = MemoryCommandSender(
            self.topics, self.names.commands, partitions=self.partitions, weather=self.weather
        )
        kinds = ["engine"] * self._number(settings.engines) + ["gateway"] * self._number(settings.gateways)
        self.places = [Place(kind) for kind in (*kinds, "projector")]
        self.processes: list[Process] = []
        """Those that live, and those whose last steps are not done."""
        self.accepted: list[str] = []
        """Ids of commands that the API acknowledged."""
        self._outside = copy_context()
        """No process: what happens by itself goes on when the one dies whose call began it."""
        self._tasks: list[asyncio.Task[None]] = []
        self._is_over = False
        self._ids = 0

    def _number(self, most: int) -> int:
        return most if self.settings.is_long else self.random.randint(1, most)

    def _clock(self) -> SkewedClock:
        """Return the clock of a machine; it is set anew whenever something starts on it."""
        skew_s = self.random.choice((0.0, 0.0, 0.1, 3.0, 60.0))
        return SkewedClock(self.clock, timedelta(seconds=skew_s * self.random.uniform(-1, 1)))

    def start(self) -> None:
        """Start every role."""
        for place in self.places:
            self._start(place)

    def shelve(self) -> None:
        """Put everything on sale."""
        for key, data in self.shelf.definitions():
            self.later(self._shelve, key, data)

    async def _shelve(self, key: str, data: Any) -> None:
        await self.send(key, data, self.next_id("shelve"), actor="manager")

    def calm(self) -> None:
        """Let nothing bad happen any more, and everybody work."""
        self.climate.calm()
        for place in self.places:
            if place.process is not None:
                place.process.thaw()

    async def stop(self) -> None:
        """End every process and every task."""
        self._is_over = True
        for place in self.places:
            if place.process is not None:
                place.process.kill("the history is over")
        for task in self._tasks:
            task.cancel()
        left = [*self._tasks, *(task for process in self.processes for task in process.tasks)]
        if left:
            await asyncio.wait(left, timeout=STOP_S)

    def later(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Let something of the outside world happen by itself."""
        self._tasks.append(self.loop.create_task(work(*args), context=self._outside.copy()))
        if len(self._tasks) > TASKS_LOOKED_THROUGH:
            self._tasks = [task for task in self._tasks if not task.done()]

    async def idle(self) -> None:
        """Wait until the outside world has nothing under way."""
        while self._tasks:
            tasks, self._tasks = self._tasks, []
            await asyncio.gather(*tasks)

    def next_id(self, name: str) -> str:
        """Return an id that nobody else has."""
        self._ids += 1
        return f"{name} {self._ids}"

    def customers(self) -> list[Customer]:
        """Return those who live here."""
        return [
            Customer(self, f"customer-{number}", Random(f"{self.random.random()} {number}"))
            for number in range(self.settings.customers)
        ]

    async def send(self, key: str, data: Any, command_id: str, *, actor: str, source: str = "billing/api") -> None:
        """Have a command in the log; whoever asks asks again where that is not known."""
        command = new_command(
            command_id=CommandId(command_id), key=key, time=self.clock.now(), source=source, actor=actor, data=data
        )
        for _ in range(SEND_ATTEMPTS):
            try:
                await self._api.send(command)
            except (SendRefusedError, SendUnknownError):
                await asyncio.sleep(self.random.expovariate(1 / 2))
            else:
                self.accepted.append(command_id)
                return

    def hear(self, report: ProviderReport) -> None:
        """The provider tells something: late, often, or to nobody."""
        command = report.command
        if isinstance(command, AnswerRefund):
            if command.answer.status is RefundAnswerStatus.PENDING:
                self.later(self._settle_refund, command.answer.reference)
            elif command.answer.status is RefundAnswerStatus.SUCCEEDED and self.random.random() < BOUNCES:
                self.later(self._bounce_refund, command.answer.reference)
        chance = self.random.random()
        copies = 1 if chance < 0.6 else 0 if chance < 0.8 else self.random.choice((2, 3))
        for _ in range(copies):
            self.later(self._deliver, report)

    async def collect(self, reference: str) -> None:
        """A means of payment that takes its time brings its money."""
        await asyncio.sleep(self.random.expovariate(1 / 60))
        self.provider.pay(reference, self.clock.now())

    async def decide(self, reference: str) -> None:
        """The customer's bank looks at a dispute, or not, and decides it."""
        random, provider = self.random, self.provider
        delay_s = min(self.settings.pause_s, DISPUTE_S_MAX)
        if random.random() < 0.5:
            await asyncio.sleep(random.expovariate(1 / delay_s))
            provider.decide_dispute(reference, self.clock.now(), DisputeStatus.UNDER_REVIEW)
        await asyncio.sleep(random.expovariate(1 / delay_s))
        verdict = random.choice((DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED))
        provider.decide_dispute(reference, self.clock.now(), verdict)

    async def _settle_refund(self, reference: str) -> None:
        await asyncio.sleep(self.random.expovariate(1 / 60))
        self.provider.settle_refund(reference, succeeds=self.random.random() < 0.8)

    async def _bounce_refund(self, reference: str) -> None:
        """The customer's bank does not take a refund that had succeeded."""
        await asyncio.sleep(self.random.expovariate(1 / 60))
        self.provider.bounce_refund(reference, self.clock.now())

    async def _deliver(self, report: ProviderReport) -> None:
        """What `api.routes.webhooks` makes of a verified webhook."""
        await asyncio.sleep(self.random.expovariate(1 / 5))
        await self.send(
            report.account,
            report.command,
            report.command_id(PROVIDER),
            actor=f"provider:{PROVIDER}",
            source=f"billing/webhooks/{PROVIDER}",
        )

    def _start(self, place: Place) -> None:
        process = place.process = Process(self.loop, place.kind, climate=self.climate, random=self.random)
        self.processes = [known for known in self.processes if known.is_at_work] + [process]
        role: EngineRole | GatewayRole | ProjectorRole
        match place.kind:
            case "engine":
                for number in range(self.partitions):
                    place.disk.setdefault(number, MemoryStore())
                role = self.roles.engine(self, process, self._clock(), place.disk)
            case "gateway":
                role = self.roles.gateway(self, process, self._clock())
            case _:
                role = self.roles.projector(self, process, self._clock())
        place.role = role
        process.stall = lambda: self.freeze(place)
        process.on_death.append(lambda _: self._ended(place, role))
        task = process.start(role.run())
        task.add_done_callback(lambda done: self._ended(place, role))

    def _ended(self, place: Place, role: EngineRole | GatewayRole | ProjectorRole) -> None:
        """A process ended: the group notices after a while, and a supervisor starts another one."""
        if place.role is not role or place.process is None:
            return
        place.process.kill("its main task ended")
        place.process = place.role = None
        if self._is_over:
            return
        if role.consumer is not None:
            self.loop.call_later(self.random.random() * SESSION_S, role.consumer.vanish, context=self._outside)
        self.loop.call_later(self.random.random() * RESTART_S, self._restart, place, context=self._outside)

    def _restart(self, place: Place) -> None:
        if place.process is None and not self._is_over:
            self._start(place)

    def freeze(self, place: Place) -> None:
        """Let a process stand still; its group expels it when that lasts too long."""
        seconds = self.random.choice((1.0, 15.0, 60.0))
        process, role = place.process, place.role
        if process is None or role is None or process.is_frozen:
            return
        process.freeze()
        consumer = role.consumer
        if seconds > SESSION_S and consumer is not None:
            self.loop.call_later(SESSION_S, self._expel, process, consumer, context=self._outside)
        self.loop.call_later(seconds, process.thaw, context=self._outside)

    def _expel(self, process: Process, consumer: MemoryConsumer) -> None:
        if process.is_frozen:
            consumer.expelled()

    def _group(self, topic: str) -> MemoryGroup:
        partitions = [TopicPartition(topic, number) for number in range(self.partitions)]
        return MemoryGroup(partitions, self._share)

    def _share(
        self, members: list[MemoryConsumer], partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, MemoryConsumer]:
        first = int(self.random.random() * len(members))
        return {partition: members[(first + n) % len(members)] for n, partition in enumerate(partitions)}


def _mild() -> Climate:
    """Return the weather of a good year."""
    faults = ("log.commit.unanswered", "log.commit.late", "command.unacknowledged", "provider.fails_after_its_work")
    return Climate(at_once=0.8, brief=0.95, delay_s=0.1, strikes=dict.fromkeys(faults, 0.001), crash=0.00001)


def _climate(random: Random) -> Climate:
    """Return how bad it is this time: every fault is rare, frequent or absent, so that they meet in all ways."""
    rates = (0.0, 0.0, 0.01, 0.05, 0.2)
    faults = (
        "log.fence.lost",
        "log.read.lost",
        "log.commit.lost",
        "log.commit.late",
        "log.commit.unanswered",
        "command.refused",
        "command.lost",
        "command.unacknowledged",
        "dead_letter.lost",
        "provider.unreachable",
        "provider.fails_after_its_work",
    )
    return Climate(
        at_once=random.choice((0.2, 0.5, 0.8)),
        brief=random.choice((0.85, 0.95)),
        delay_s=random.choice((0.01, 0.1, 1.0)),
        long_delay=random.choice((0.0, 0.0, 0.02)),
        strikes={fault: random.choice(rates) for fault in faults},
        crash=random.choice((0.0, 0.0011, 0.0055)),
        freeze=random.choice((0.0, 0.0022, 0.022)),
    )


async def customers_live(world: World) -> None:
    """Let all customers do what they do."""
    settings = world.settings
    await asyncio.gather(
        *(live(customer, settings.deeds, settings.pause_s, settings.repertoire) for customer in world.customers())
    )
