"""What happens to the processes, the clock and the provider, from outside, at any time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.effects import RefundAnswerStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.simulation.world import Place, World

OUTAGE_S = 60.0
TURNS = ("renew_at", "period_end", "access_end")
NEXT_TURN = 0.5
"""How often the clock is moved to the next turn of a subscription instead of anywhere."""


async def happen(world: World) -> None:
    """Let accidents happen until somebody stops this."""
    accidents = (kill, kill, kill, freeze, freeze, disturb_group, outage, change_refunds)
    while True:
        await asyncio.sleep(world.random.expovariate(1 / world.settings.accident_s))
        burns = world.random.random() < world.settings.disks_burn
        accident = lose_disk if burns else world.random.choice(accidents)
        accident(world)


async def fly(world: World) -> None:
    """Let the time of the business jump now and then until somebody stops this."""
    while True:
        await asyncio.sleep(world.random.expovariate(1 / world.settings.skip_s))
        skip(world)


def kill(world: World) -> None:
    """`kill -9` of a process, at whichever step it stands."""
    process = _any(world).process
    if process is not None:
        process.kill("kill -9")


def freeze(world: World) -> None:
    """SIGSTOP and, later, SIGCONT: somebody else may have taken over meanwhile."""
    world.freeze(_any(world))


def lose_disk(world: World) -> None:
    """A machine burns down with its store."""
    place = world.random.choice([place for place in world.places if place.kind == "engine"])
    if place.process is not None:
        place.process.kill("its machine burnt down")
    place.disk.clear()


def disturb_group(world: World) -> None:
    """A group loses a member that is well, and shares its partitions out anew."""
    consumer = getattr(_any(world).role, "consumer", None)
    if consumer is not None:
        consumer.expelled()


def skip(world: World) -> None:
    """Nobody did anything for a while, or everything was down: what is due is due at once."""
    if world.random.random() >= NEXT_TURN or not leap_to_turn(world):
        days = world.random.choice((0.002, 0.05, 1.0, 4.0, 10.0, 31.0))
        world.leap(timedelta(days=days * world.random.random()))


def leap_to_turn(world: World, names: tuple[str, ...] = TURNS) -> bool:
    """Leap to the next moment at which something of that name happens to a subscription, where there is one."""
    turns = [turn - world.clock.now() for turn in _turns(world, names)]
    ahead = [turn for turn in turns if turn > timedelta(0)]
    if ahead:
        world.leap(min(ahead) + timedelta(seconds=world.random.choice((0, 1, 30))))
    return bool(ahead)


def _turns(world: World, names: tuple[str, ...]) -> Iterator[datetime]:
    """Moments at which something happens to a subscription: jumping over them all would show little."""
    for row in world.tables.rows.get("subscriptions", {}).values():
        if row["ended_at"] is None:
            yield from (row[name] for name in names if row[name] is not None)


def outage(world: World) -> None:
    """The provider is away for a while, or does its work and does not say so."""
    fault = world.random.choice(("provider.unreachable", "provider.fails_after_its_work"))
    strikes = world.climate.strikes
    before = strikes.get(fault, 0.0)
    strikes[fault] = 0.9
    world.loop.call_later(world.random.random() * OUTAGE_S, _end_outage, world, fault, before)


def change_refunds(world: World) -> None:
    """From now on the provider's refunds succeed, fail, or take their time."""
    world.provider.refunds_become = world.random.choice(list(RefundAnswerStatus)[:3])


def _end_outage(world: World, fault: str, before: float) -> None:
    if fault in world.climate.strikes:
        world.climate.strikes[fault] = before


def _any(world: World) -> Place:
    return world.random.choice(world.places)
