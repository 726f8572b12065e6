"""The provider's bad days, each of which lasts over several leaps of time, and weeks of good weather that leap by.

On a bad day most calls do their work and are not answered, never arrive, or arrive when nobody waits for them any more;
questions fail as well, and webhooks are lost or late. Meanwhile pages are paid, refunds bounce, banks dispute what we
have not heard of, and deadlines pass.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.simulation.accidents import leap_to_turn
from tests.simulation.outside import Webhooks
from tests.simulation.world import REPORTS_KEPT

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import World

CALLS = ("create_checkout", "charge", "refund", "fetch", "close_checkout", "reports")
WAYS = ("unanswered", "unanswered", "unanswered", "unreachable", "late")
STRUCK = 0.8
"""How often a bad day is one for calls of a kind."""
LEAPS_MAX = 4
LEAP_DAYS = (0.02, 0.5, 1.1, 4.0, 10.0)
"""The first passes over repeats of calls alone, the others over the end of pages and charges, and of grace."""
QUIET_S = 60.0
"""After so long in good weather whatever was under way has arrived."""
WEEKS_LEAPS = (3, 5)
WEEKS_DAYS = (15.5, 20.0)
WEEKS_DISPUTED = 0.4
WEEKS_REST_S = (2.0, 4.0)
"""Time enough to ask the provider once between two leaps, and too little to do so by the machine's time alone."""


async def come(world: World) -> None:
    """Let the provider have bad days until somebody stops this."""
    while True:
        await asyncio.sleep(world.random.expovariate(1 / world.settings.bad_day_s))
        await _last(world)


async def _last(world: World) -> None:
    """Let one come, last over some leaps, and be over."""
    random, outside = world.random, world.outside
    strikes, struck = world.climate.strikes, _struck(random)
    strikes.update(struck)
    outside.let_webhooks(random.choice((Webhooks.ARE_LOST, Webhooks.ARE_LOST, Webhooks.ARE_HELD, Webhooks.COME)))
    try:
        for number in range(random.randint(2, LEAPS_MAX)):
            outside.pay_pages()
            outside.take_back()
            await asyncio.sleep(random.expovariate(1 / world.settings.bad_leap_s))
            if world.settings.skip_s and (number or not leap_to_turn(world, ("renew_at",))):
                world.leap(timedelta(days=random.choice(LEAP_DAYS)))
            await asyncio.sleep(random.expovariate(1 / world.settings.bad_leap_s))
    finally:
        for place in struck:
            strikes.pop(place, None)
        outside.let_webhooks(Webhooks.COME)


def _struck(random: Random) -> dict[str, float]:
    """Return which calls fail in which way, and how likely."""
    chance = random.choice((0.7, 1.0))
    found = {f"provider.{call}.{random.choice(WAYS)}": chance for call in CALLS if random.random() < STRUCK}
    return found or {"provider.charge.unanswered": chance}


async def pass_weeks(world: World) -> None:
    """Everything is well, and the clock is moved on by weeks: what only reports tell is forgotten after 30 days."""
    random = world.random
    await asyncio.sleep(QUIET_S)
    world.provider.reports_kept = REPORTS_KEPT
    world.outside.let_webhooks(Webhooks.ARE_LOST)
    for _ in range(random.randint(*WEEKS_LEAPS)):
        world.outside.take_back(disputed=WEEKS_DISPUTED)
        await asyncio.sleep(random.uniform(*WEEKS_REST_S))
        world.leap(timedelta(days=random.uniform(*WEEKS_DAYS)))
    world.outside.let_webhooks(Webhooks.COME)
