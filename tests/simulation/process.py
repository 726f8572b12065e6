"""Processes that can be killed and frozen, and the weather that each of them has."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from tests.simulation.climate import LocalWeather
from tests.simulation.loop import PROCESS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from random import Random

    from tests.simulation.climate import Climate
    from tests.simulation.loop import Step, VirtualLoop

TASKS_LOOKED_THROUGH = 512


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
