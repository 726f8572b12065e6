"""Run one seed from its first command to its judgement."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import structlog

from domain.effects import RefundAnswerStatus
from tests.simulation import accidents, bad_days
from tests.simulation.evidence import Evidence, gather
from tests.simulation.loop import StuckError, VirtualLoop
from tests.simulation.verifier import left_behind, story_of, verify
from tests.simulation.world import Roles, World, customers_live

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.settings import Settings
    from tests.simulation.verifier import Finding

RESTS_MORE_MAX = 30
EVENTS_SHOWN = 12
FAULTS_SHOWN = 5


@dataclass(slots=True)
class Result:
    """What came of a seed."""

    seed: int
    faults: list[str] = field(default_factory=list)
    """Each with the name of its check."""
    last_events: list[str] = field(default_factory=list)
    commands: int = 0
    events: int = 0
    steps: int = 0
    virtual_days: float = 0.0
    digest: str = ""
    """Of the whole log: the same seed gives the same one."""

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    def report(self) -> str:
        """Return what a person needs to see it again."""
        lines = [f"seed {self.seed}: {len(self.faults)} fault(s)"]
        lines += [f"  {fault}" for fault in self.faults[:FAULTS_SHOWN]]
        lines += ["  the last events of those concerned:", *(f"    {event}" for event in self.last_events)]
        return "\n".join(lines)


def run(
    seed: int,
    settings: Settings,
    roles: Roles | None = None,
    *,
    watch: Callable[[World], None] | None = None,
    keep: Callable[[Evidence], None] | None = None,
) -> Result:
    """Let a history happen and judge it. `watch` is given the world at its begin, `keep` what it left."""
    _be_silent()
    loop = VirtualLoop(Random(f"loop {seed}"), seed=seed, steps_max=settings.steps_max)
    result = Result(seed)
    asyncio.set_event_loop(loop)
    world = World(loop, seed, settings, roles)
    if watch is not None:
        watch(world)
    try:
        evidence = loop.run_until_complete(_happen(world))
        if keep is not None:
            keep(evidence)
        _judge(result, evidence)
    except (StuckError, asyncio.CancelledError) as error:
        result.faults.append(f"it comes to rest: {error!r}")
    except Exception:  # a bug of the simulation or of what it runs: its seed shows it again
        result.faults.append(f"it runs to its end: {traceback.format_exc()}")
    finally:
        with suppress(StuckError):
            loop.run_until_complete(world.stop())
        asyncio.set_event_loop(None)
        loop.close()
    result.steps = loop.steps
    return result


async def _happen(world: World) -> Evidence:
    """Live through everything: a shelf, customers among accidents, and then rest."""
    world.start()
    world.shelve()
    await world.idle()
    settings, loop = world.settings, asyncio.get_running_loop()
    trouble = [loop.create_task(accidents.happen(world))] if settings.accident_s else []
    trouble += [loop.create_task(accidents.fly(world))] if settings.skip_s else []
    trouble += [loop.create_task(bad_days.come(world))] if settings.bad_day_s else []
    lives = loop.create_task(customers_live(world))
    await asyncio.wait({lives}, timeout=settings.lasts_s)
    for task in (lives, *trouble):
        task.cancel()
    with suppress(asyncio.CancelledError):
        await lives
    return await _rest(world)


async def _rest(world: World) -> Evidence:
    """Let nothing bad happen any more, until nothing is late. Within bounds: what stays late then is a fault."""
    world.calm()
    world.provider.refunds_become = RefundAnswerStatus.SUCCEEDED
    settings = world.settings
    if world.random.random() < settings.weeks:
        await bad_days.pass_weeks(world)
    for number in range(settings.rests_min + RESTS_MORE_MAX):
        await asyncio.sleep(settings.rest_s)
        await world.idle()
        if number >= settings.rests_min and number % 2:
            evidence = gather(world)
            if not left_behind(evidence, story_of(evidence)):
                return evidence
        world.leap(timedelta(hours=25) if number == 1 else timedelta(minutes=70))
    return gather(world)


def _judge(result: Result, evidence: Evidence) -> None:
    findings: list[Finding] = verify(evidence)
    for finding in findings:
        result.faults += [f"{finding.name}: {fault}" for fault in finding.faults]
    result.commands, result.events = len(evidence.commands), len(evidence.events)
    digest = hashlib.sha256()
    for entry in evidence.events:
        digest.update(entry.headers["chain_hash"])
    result.digest = digest.hexdigest()
    if result.faults:
        blamed = " ".join(result.faults[:FAULTS_SHOWN])
        concerned = [entry for entry in evidence.events if entry.key in blamed]
        shown = sorted(concerned or evidence.events, key=lambda entry: entry.headers["ce_time"])[-EVENTS_SHOWN:]
        result.last_events = [
            f"{entry.headers['ce_time'].decode()} {entry.position} {entry.key} {entry.kind} {entry.value.decode()}"[
                :300
            ]
            for entry in shown
        ]


def _be_silent() -> None:
    """The roles log what they meet; here that is thousands of accidents."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=True,
    )
