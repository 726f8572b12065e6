"""How large a history is, how bad it gets, and how long everybody waits in it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.customers import REPERTOIRE, Deed


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
    reports_a_page: int = 3
    """So few that what the provider told is on several pages, of which each may fail."""
    patience_s: float = 60.0
    accident_s: float = 15.0
    """The mean time between two accidents; 0: there are none."""
    skip_s: float = 25.0
    """The mean time between two jumps of the clock; 0: it goes as the loop's."""
    bad_day_s: float = 90.0
    """The mean time between two bad days of the provider; 0: it has none."""
    bad_leap_s: float = 10.0
    """The mean time between two leaps within one of them."""
    weeks: float = 0.4
    """How likely weeks pass by leaps once everything is well again."""
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
