"""How bad the weather is in a history, and what of it each process feels."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import coroutine
from typing import TYPE_CHECKING

from infra.memory.weather import Weather

if TYPE_CHECKING:
    from collections.abc import Generator
    from random import Random

    from tests.simulation.process import Process

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


def mild() -> Climate:
    """Return the weather of a good year."""
    faults = ("log.commit.unanswered", "log.commit.late", "command.unacknowledged", "provider.fails_after_its_work")
    return Climate(at_once=0.8, brief=0.95, delay_s=0.1, strikes=dict.fromkeys(faults, 0.001), crash=0.00001)


def any_climate(random: Random) -> Climate:
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
