"""Processes that can be killed and frozen, and the weather that each of them has."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from dataclasses import dataclass, field
from types import coroutine
from typing import TYPE_CHECKING, Any

from infra.memory.weather import Weather
from tests.simulation.loop import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from random import Random

    from tests.simulation.loop import Step, VirtualLoop

TASKS_LOOKED_THROUGH = 512
PAUSE_S_MAX = 45.0


@dataclass(slots=True, kw_only=True)
class Climate:
    """How bad the weather is everywhere; every history has its own."""

    at_once: float = 0.5
    """How likely a pause is none at all."""
    brief: float = 0.85
    """Up to here: others get their turn, and no time passes. Above it: some time passes."""
    delay_s: float = 0.05
    """The mean of such times."""
    long_delay: float = 0.0
    """How likely one of them is a hundred times as long."""
    strikes: dict[str, float] = field(default_factory=dict)
    """How likely each fault is."""
    crash: float = 0.0
    """How likely a process dies at a pause."""
    freeze: float = 0.0
    """How likely it stands still there for a while."""

    def calm(self) -> None:
        """Let no fault strike any more."""
        self.at_once, self.brief, self.delay_s, self.long_delay = 0.9, 1.0, 0.0, 0.0
        self.strikes = {}
        self.crash = self.freeze = 0.0


@coroutine
def _others_turn() -> Generator[None, None, None]:
    """`asyncio.sleep(0)` without its questions: most pauses are this one."""
    yield


class LocalWeather(Weather):
    """The climate as one process has it."""

    def __init__(self, climate: Climate, random: Random, process: Process | None = None) -> None:
        self._climate = climate
        self._random = random.random
        self._exponential = random.expovariate
        self._process = process

    async def pause(self, place: str) -> None:
        """Wait as the climate says, or die here. Whoever is dead goes no further."""
        process, climate = self._process, self._climate
        if process is not None:
            if process.is_dead:
                raise asyncio.CancelledError
            if climate.crash and self._random() < climate.crash:
                process.kill(place)
                raise asyncio.CancelledError
            if climate.freeze and self._random() < climate.freeze:
                process.stall()
                await asyncio.sleep(0)
        chance = self._random()
        if chance < climate.at_once:
            return
        if chance < climate.brief:
            await _others_turn()
        else:
            mean_s = climate.delay_s
            if climate.long_delay and self._random() < climate.long_delay:
                mean_s *= 100
            await asyncio.sleep(min(PAUSE_S_MAX, self._exponential(1 / mean_s)))
        if process is not None and process.is_dead:
            raise asyncio.CancelledError

    def strikes(self, place: str) -> bool:
        """Tell whether the fault strikes."""
        chance = self._climate.strikes.get(place)
        return chance is not None and self._random() < chance


class Process:
    """A role at work. Killed, it does nothing more; frozen, it goes on later as if nothing had been."""

    def __init__(self, loop: VirtualLoop, name: str, *, climate: Climate, random: Random) -> None:
        self.name = name
        self.is_dead = False
        self.held: list[Step] = []
        self.weather = LocalWeather(climate, random, self)
        self.on_death: list[Callable[[str], None]] = []
        self.stall: Callable[[], None] = self.freeze
        """Freeze it, and see to it that it goes on some time."""
        self._loop = loop
        self.tasks: list[asyncio.Task[Any]] = []

    @property
    def is_frozen(self) -> bool:
        """Tell whether it stands still."""
        return self in self._loop.frozen

    @property
    def is_at_work(self) -> bool:
        """Tell whether any of its tasks has steps before it."""
        return any(not task.done() for task in self.tasks)

    def start(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin to work."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return self._loop.create_task(main, context=context)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Note a task of this process."""
        self.tasks.append(task)
        if len(self.tasks) > TASKS_LOOKED_THROUGH:
            self.tasks = [known for known in self.tasks if not known.done()]

    def kill(self, reason: str) -> None:
        """Die at once: nothing that comes later has any effect."""
        if self.is_dead:
            return
        self.is_dead = True
        self.thaw()
        for task in self.tasks:
            task.cancel()
        for hear in self.on_death:
            hear(reason)

    def freeze(self) -> None:
        """Stand still."""
        if not self.is_dead:
            self._loop.frozen.add(self)

    def thaw(self) -> None:
        """Go on."""
        self._loop.frozen.discard(self)
        held, self.held = self.held, []
        self._loop.resume(held)
