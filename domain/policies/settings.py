"""The policies of the business with their defaults. An event records what it used of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Durations of waiting. Every wait of the system is bounded by one of these."""

    payment_expiry: timedelta = timedelta(hours=23)
    """How long a customer may take to pay. Providers bound it: a Stripe Checkout Session lives at most 24 hours."""

    call_repeat_delays: tuple[timedelta, ...] = (
        timedelta(seconds=20),
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=1),
    )
    """After the n-th unanswered call to a provider, wait this long and repeat it; the last delay repeats for ever."""

    sweep_delays: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=1),
    )
    """How long a payment may be silent before the provider is asked about it; the last delay repeats for ever."""

    items_max: int = 20
    """How many items one order may have."""

    months_max: int = 36
    """How many months one order may buy."""


def delay(delays: tuple[timedelta, ...], attempt: int) -> timedelta:
    """Return the wait after the given attempt (1 is the first); the last one repeats for ever."""
    return delays[min(attempt, len(delays)) - 1]
