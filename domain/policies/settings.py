"""The policies of the business with their defaults. An event records what it used of them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from domain.records import dataclass


class RepeatedOrder(StrEnum):
    """What a second order of exactly the same things gets while the first is not paid."""

    FIRST = "first"
    """The first order: a double click buys once."""
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What the business decided about waiting, renewing and limits. Every wait is bounded by one of these."""

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

    renewal_offsets: tuple[timedelta, ...] = (
        timedelta(days=-3),
        timedelta(days=-1),
        timedelta(days=0),
        timedelta(days=1),
    )
    """When a renewal is tried, counted from the end of the paid period: the first is the lead, the others dunning."""

    grace: timedelta = timedelta(days=2)
    """How long access stays after the end of the period while a renewal is not paid."""

    refund_window: timedelta = timedelta(hours=1)
    """How long after a payment the customer may have all of it back."""

    refund_unused: bool = True
    """Whether, after that, the customer may have the unused part of the present period back."""

    cancel_now_refunds: bool = True
    """Whether cancelling at once gives the unused part of the period back."""

    end_lead_without_grace: timedelta = timedelta(hours=1)
    """Where there is no grace: how long before the end trials and plans that change then are charged."""

    plan_change_expiry: timedelta = timedelta(hours=1)
    """How long a change of plan may wait for its payment: the credit was reckoned for the moment of the order."""

    plan_change_refunds: bool = True
    """Whether what is left of the old plan goes back when the new one costs less."""

    migration_notice: timedelta = timedelta(days=30)
    """How long before a new price may hold for a running subscription it has to be announced."""

    migration_ahead_max: timedelta = timedelta(days=3660)
    """How long before it holds a new price may be announced at most."""

    pause_max: timedelta = timedelta(days=90)
    """How long a subscription may be paused; then it goes on by itself."""

    pauses_per_period_max: int = 1
    """How often a subscription may be paused before it is paid again."""

    late_payment_fulfils: bool = True
    """Whether money that arrives after its order expired or failed buys what was ordered, if still wanted."""

    extension_days_max: int = 3660
    """How many days a manager may give at once."""

    period_ahead_max: timedelta = timedelta(days=36_525)
    """How far in the future the end of a subscription may come to lie by what a manager gives."""

    repeated_order: RepeatedOrder = RepeatedOrder.FIRST
    """What a double click gets."""

    items_max: int = 20
    """How many items one order may have."""

    months_max: int = 36
    """How many months one order may buy."""


def delay(delays: tuple[timedelta, ...], attempt: int) -> timedelta:
    """Return the wait after the given attempt (1 is the first); the last one repeats for ever."""
    return delays[min(attempt, len(delays)) - 1]
