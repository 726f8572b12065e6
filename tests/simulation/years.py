"""One long run: many customers, years of virtual time, and the accidents of such years."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

from processors.journal import RENEWALS_MAX
from tests.simulation.customers import LASTING
from tests.simulation.history import run
from tests.simulation.settings import Settings

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY_S = 86_400.0
DEEDS_A_YEAR = 4
SHOWN_EVERY_S = 5.0
SELDOM = (50_000, 20, 100)
"""How often garbage is looked for. A log of years is none, and looking through it was an eighth of the time."""


def settings_of(years: float, customers: int) -> Settings:
    """Return a history of that length. Something breaks twice a month; nobody moves the clock."""
    deeds = max(2, round(years * DEEDS_A_YEAR))
    return Settings(
        customers=customers,
        engines=2,
        gateways=1,
        deeds=deeds,
        pause_s=years * 365.25 * DAY_S / deeds,
        lasts_s=years * 365.25 * DAY_S,
        repertoire=LASTING,
        timer_s=3_600.0,
        renewals_max=RENEWALS_MAX,
        sweep_s=3 * 3_600.0,
        reports_a_page=100,
        patience_s=12 * 3_600.0,
        accident_s=15 * DAY_S,
        disks_burn=0.002,
        skip_s=0.0,
        bad_day_s=30 * DAY_S,
        bad_leap_s=DAY_S / 4,
        weeks=0.0,
        rest_s=4_000.0,
        rests_min=15,
        steps_max=2**62,
        is_long=True,
    )


def live_for_years(years: float, customers: int, seed: int) -> int:
    """Run it, tell how far it is, and what was found; 1 where something was."""
    begin = time.monotonic()
    gc.set_threshold(*SELDOM)
    result = run(seed, settings_of(years, customers), watch=_tell_progress)
    seconds = time.monotonic() - begin
    print(  # noqa: T201
        f"{years:g} years of {customers} customers in {seconds:.0f} s: {result.commands:,} commands, "
        f"{result.events:,} events, {result.events / seconds:,.0f} events/s, {len(result.faults)} fault(s)"
    )
    if not result.is_good:
        print(f"{result.report()}\n  again: make simulate YEARS={years:g} CUSTOMERS={customers} SEED={seed}")  # noqa: T201
    return 0 if result.is_good else 1


def _tell_progress(world: World) -> None:
    """Print the virtual date now and then, by a step of the loop that nobody in the history notices."""
    shown = time.monotonic()

    def look() -> None:
        nonlocal shown
        if time.monotonic() - shown > SHOWN_EVERY_S:
            shown = time.monotonic()
            events = sum(world.topics.end_offset(world.names.events, number) for number in range(world.partitions))
            print(f"{world.clock.now():%Y-%m-%d}: {events:,} events", flush=True)  # noqa: T201
        world.loop.call_later(DAY_S, look)

    world.loop.call_later(DAY_S, look)
