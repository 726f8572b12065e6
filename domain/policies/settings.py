"""The policies of the business with their defaults. An event records what it used of them."""

from __future__ import annotations

import itertools
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum

from domain.records import dataclass


class RepeatedOrder(StrEnum):
    """What a second order of exactly the same things gets while the first is not paid."""

    FIRST = "first"
    """The first order: a double click buys once."""
    REJECT = "reject"


class PlanChangeRemainder(StrEnum):
    """What becomes of the rest of an old plan that is more than the price of the new one."""

    REFUND = "refund"
    """It goes back to where it came from."""
    CREDIT = "credit"
    """It goes onto the customer's balance."""
    KEEP = "keep"
    """It stays ours."""


class DisputeAccess(StrEnum):
    """When a disputed payment takes back what it bought."""

    OPENED = "opened"
    """As soon as the bank takes the money; given again when the dispute is won."""
    LOST = "lost"
    """When the dispute is lost."""
    NEVER = "never"


class RefundAccess(StrEnum):
    """What becomes of the access that a refund pays back for."""

    FOLLOWS = "follows"
    """The money that stays buys the time that stays: what is paid back whole ends, and a part of a subscription's
    money takes that part of its time, from the end. A film is access or not: its customer gets all of its price back
    or nothing, and what a manager gives back of it takes nothing until it is all."""
    ENDS = "ends"
    """Any refund ends the access that it pays back for, whatever the amount."""
    KEEPS = "keeps"
    """What was bought stays, whatever goes back."""


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

    lost_charge_delays: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(days=1))
    """How long after its end a charge that the provider did not know is looked for once more, and then again."""

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
    """How long after a payment the customer may have it back, all or a part."""

    refund_unused: bool = True
    """Whether, after that, the customer may have the unused part of the present period back."""

    refund_access: RefundAccess = RefundAccess.FOLLOWS
    """What becomes of the access that a refund pays back for."""

    cancel_now_refunds: bool = True
    """Whether cancelling at once gives the unused part of the period back."""

    dispute_access: DisputeAccess = DisputeAccess.LOST
    """When a disputed payment takes back what it bought."""

    dispute_lost_forgets_method: bool = True
    """Whether a lost dispute makes us forget the means of payment, so that nothing renews by it again."""

    end_lead_without_grace: timedelta = timedelta(hours=1)
    """Where there is no grace: how long before the end trials and plans that change then are charged."""

    plan_change_expiry: timedelta = timedelta(hours=1)
    """How long a change of plan may wait for its payment: the credit was reckoned for the moment of the order."""

    plan_change_remainder: PlanChangeRemainder = PlanChangeRemainder.REFUND
    """What becomes of what is left of the old plan when the new one costs less."""

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

    open_orders_max: int = 100
    """How many orders of one account may wait to be paid at once: what one customer costs all others has a bound."""


ITEMS_MAX = 100
MONTHS_MAX = 1200
OPEN_ORDERS_MAX = 1000
EXTENSION_DAYS_MAX = 36_600
DELAYS_MAX = 50
PAUSES_MAX = 1000
EXPIRY_MIN, EXPIRY_MAX = timedelta(minutes=30), timedelta(hours=24)
"""Between them a Stripe Checkout Session may expire."""
LEAD_MAX = timedelta(days=28)
"""The shortest calendar month: a renewal that is due before its period has begun is tried when it begins."""
DURATION_MAX = timedelta(days=36_525)


class PoliciesInvalidError(Exception):
    """Policies that make no sense by themselves or together, one sentence each; the process must not start."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def require_sound(policies: Policies, *, lead_max: timedelta = LEAD_MAX) -> None:
    """Raise PoliciesInvalidError with all that is wrong; each sentence begins with the name of its policy.

    `lead_max` is the shortest period that may be renewed.
    """
    problems = [*_lengths(policies), *_schedule(policies, lead_max)]
    if not EXPIRY_MIN <= policies.payment_expiry <= EXPIRY_MAX:
        problems.append(f"payment_expiry must be 30 minutes to 24 hours, not {in_words(policies.payment_expiry)}")
    if not EXPIRY_MIN <= policies.plan_change_expiry <= EXPIRY_MAX:
        problems.append(
            f"plan_change_expiry must be 30 minutes to 24 hours, not {in_words(policies.plan_change_expiry)}"
        )
    if not 0 <= policies.pauses_per_period_max <= PAUSES_MAX:
        problems.append(f"pauses_per_period_max must be 0 to {PAUSES_MAX}, not {policies.pauses_per_period_max}")
    if not policies.pause_max:
        problems.append("pause_max must be longer than nothing; without pauses, pauses_per_period_max is 0")
    if policies.migration_ahead_max < policies.migration_notice:
        problems.append("migration_ahead_max must not be shorter than migration_notice")
    if not policies.grace and not policies.end_lead_without_grace:
        problems.append("end_lead_without_grace must be longer than nothing where there is no grace")
    for name, number, number_max in (
        ("items_max", policies.items_max, ITEMS_MAX),
        ("months_max", policies.months_max, MONTHS_MAX),
        ("open_orders_max", policies.open_orders_max, OPEN_ORDERS_MAX),
        ("extension_days_max", policies.extension_days_max, EXTENSION_DAYS_MAX),
    ):
        if not 0 < number <= number_max:
            problems.append(f"{name} must be 1 to {number_max}, not {number}")
    if problems:
        raise PoliciesInvalidError(tuple(problems))


def _lengths(policies: Policies) -> list[str]:
    """Return what is wrong with single durations: none is negative, and what waits does wait."""
    problems: list[str] = []
    for policy in fields(policies):
        value = getattr(policies, policy.name)
        if isinstance(value, timedelta) and not timedelta(0) <= value <= DURATION_MAX:
            problems.append(f"{policy.name} must be 0 to {DURATION_MAX.days} days, not {in_words(value)}")
        if policy.name.endswith("_delays"):
            if not 0 < len(value) <= DELAYS_MAX:
                problems.append(f"{policy.name} must have 1 to {DELAYS_MAX} delays, not {len(value)}")
            problems += [
                f"{policy.name} must all be longer than nothing, not {in_words(delayed)}"
                for delayed in value
                if not timedelta(0) < delayed <= DURATION_MAX
            ]
    return problems


def _schedule(policies: Policies, lead_max: timedelta) -> list[str]:
    """Return what is wrong with the times of renewals."""
    offsets, problems = policies.renewal_offsets, []
    if not 0 < len(offsets) <= DELAYS_MAX:
        return [f"renewal_offsets must have 1 to {DELAYS_MAX} times, not {len(offsets)}"]
    if any(later <= earlier for earlier, later in itertools.pairwise(offsets)):
        problems.append("renewal_offsets must be in order, each later than the one before")
    if -min(offsets) > lead_max:
        shortest = "month" if lead_max == LEAD_MAX else "period"
        problems.append(
            f"renewal_offsets begin {in_words(-min(offsets))} before the end: longer than the shortest {shortest}, "
            f"{in_words(lead_max)}"
        )
    if max(offsets) > policies.grace:
        problems.append(
            f"renewal_offsets go on until {in_words(max(offsets))} after the end of the period, when the grace of "
            f"{in_words(policies.grace)} is over and access is blocked"
        )
    return problems


def in_words(length: timedelta) -> str:
    """Return a duration in its greatest whole unit, such as `2 days` or `90 minutes`."""
    seconds = int(length.total_seconds())
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def delay(delays: tuple[timedelta, ...], attempt: int) -> timedelta:
    """Return the wait after the given attempt (1 is the first); the last one repeats for ever."""
    return delays[min(attempt, len(delays)) - 1]
