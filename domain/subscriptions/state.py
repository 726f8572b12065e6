"""A subscription: access to a role for periods that were paid, renewed by the saved means of payment."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.calendar import Period, PeriodUnit
from domain.ids import OrderId, PaymentId, PriceId, ProductId, Resource, SubscriptionId
from domain.money import Money
from domain.policies.terms import Terms
from domain.records import dataclass


class SubscriptionStatus(StrEnum):
    """trialing | active → past_due → grace → ended, and back to active with the money; paused and back."""

    TRIALING = "trialing"
    """A time to try that nobody pays for."""
    ACTIVE = "active"
    PAST_DUE = "past_due"
    """A renewal was declined; the period that was paid still runs."""
    GRACE = "grace"
    """The paid period is over and access stays for a little while."""
    PAUSED = "paused"
    """Access rests; the rest of what was paid is kept."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is agreed for every period: the product, its price and how long a period is."""

    product_id: ProductId
    price_id: PriceId
    title: str
    price: Money
    period: Period
    resource: Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """Another plan that begins with a later period."""

    plan: Plan
    not_before: datetime | None = None
    """Set for a new price that was announced: it holds for periods that begin at this moment or later."""

    @property
    def is_migration(self) -> bool:
        """Tell whether we announced it, rather than that the customer wished it."""
        return self.not_before is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Money of one payment that paid for a period, in minor units."""

    payment_id: PaymentId
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidPeriod:
    """A stretch of time that one order paid for: what is refunded, shortened and prorated."""

    order_id: OrderId
    start: datetime
    end: datetime
    sources: tuple[Source, ...] = ()
    """Where its money came from: a payment, and after a change of plan the rest of earlier ones. None: for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A running or ended subscription of one account."""

    id: SubscriptionId
    product_id: ProductId
    price_id: PriceId
    title: str
    price: Money
    """The price of one period, as it was agreed."""
    period: Period
    resource: Resource
    order_id: OrderId
    """The order that started it, or that brought the present plan."""
    anchor: datetime
    """The moment from which periods are counted: the day of the month of every end comes from it."""
    units: int
    """How many units of the period (months or days) were given since the anchor."""
    paid: tuple[PaidPeriod, ...]
    """The paid periods that had not ended at the last change, in their order."""
    period_start: datetime
    period_end: datetime
    """The end of all that was paid or given: the present period and those bought ahead."""
    access_end: datetime
    """The end of access if nothing more is paid: the period's end, with the grace while it renews by itself."""
    auto_renew: bool
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE
    renew_at: datetime | None = None
    """When the next attempt to renew is made; absent when none is to be made, or while one is under way."""
    attempts: int = 0
    """How often it was tried to renew the present period."""
    renewal_order_id: OrderId | None = None
    """The order of the renewal, from the first charge until it is paid or the subscription ends."""
    terms: Terms | None = None
    """What was agreed about grace, refunds and renewals with the order of its newest period."""
    planned: PlannedChange | None = None
    announced: PlannedChange | None = None
    """The new price that was announced and has not begun; it holds for who stays, whatever was planned in between."""
    paused_at: datetime | None = None
    resume_by: datetime | None = None
    """While it is paused: when it goes on by itself."""
    pauses: int = 0
    """How often it was paused since it was paid."""

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended. It gives access then, unless it is paused."""
        return self.status is not SubscriptionStatus.ENDED

    @property
    def plan(self) -> Plan:
        """What is agreed now."""
        return Plan(
            product_id=self.product_id,
            price_id=self.price_id,
            title=self.title,
            price=self.price,
            period=self.period,
            resource=self.resource,
        )

    @property
    def next_plan(self) -> Plan:
        """What the next period costs and gives."""
        planned = self.planned
        if planned is None or (planned.not_before is not None and self.period_end < planned.not_before):
            return self.plan
        return planned.plan

    def clock(self, now: datetime) -> datetime:
        """Return the moment that counts for what is left of it: while it is paused, its time stands still."""
        return now if self.paused_at is None else self.paused_at


def one_unit(unit: PeriodUnit) -> Period:
    """Return the smallest period of a unit: ends are counted in units, so that periods of all lengths mix."""
    return Period(count=1, unit=unit)
