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

from domain.ids import CommandId
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
from tests.simulation.climate import LocalWeather, any_climate, mild
from tests.simulation.customers import Customer, live
from tests.simulation.outside import Outside
from tests.simulation.process import TASKS_LOOKED_THROUGH, Process
from tests.simulation.roles import EngineRole, GatewayRole, ProjectorRole
from tests.simulation.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from tests.simulation.loop import VirtualLoop
    from tests.simulation.settings import Settings

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEND_ATTEMPTS = 20
SESSION_S = 10.0
RESTART_S = 3.0
STOP_S = 1_000.0
PROVIDER = "stripe"
REPORTS_KEPT = timedelta(days=30)


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
        self.climate = mild() if settings.is_long else any_climate(self.random)
        if settings.freeze is not None:
            self.climate.freeze = settings.freeze
        self.weather = LocalWeather(self.climate, self.random)
        self.clock = VirtualClock(loop)
        self.names = Topics("billing")
        self.product_settings = product_settings(settings.sweep_s)
        self.topics = MemoryTopics()
        self.tables = Tables()
        self.shelf = Shelf()
        self.outside = Outside(self)
        kept = REPORTS_KEPT if settings.is_long else None
        self.provider = MemoryProvider(
            name=PROVIDER,
            now=self.clock.now,
            tell=self.outside.hear,
            reports_kept=kept,
            reports_a_page=settings.reports_a_page,
        )
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

    def leap(self, by: timedelta) -> None:
        """Let the time of the business jump. Whoever polls for nothing does so many times a second: here, now."""
        self.outside.arrive()
        self.clock.skip(by)
        for consumer in self.gateways.members:
            consumer.wake()

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


async def customers_live(world: World) -> None:
    """Let all customers do what they do."""
    settings = world.settings
    await asyncio.gather(
        *(live(customer, settings.deeds, settings.pause_s, settings.repertoire) for customer in world.customers())
    )
