"""A subscription: access to a role for periods that were paid, renewed by the saved means of payment."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.calendar import Period, PeriodUnit, end_of
from domain.ids import OrderId, PriceId, ProductId, Resource, SubscriptionId
from domain.money import Money
from domain.records import dataclass


class SubscriptionStatus(StrEnum):
    """active → past_due → grace → ended, and back to active with the money."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    """A renewal was declined; the period that was paid still runs."""
    GRACE = "grace"
    """The paid period is over and access stays for a little while."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidPeriod:
    """A stretch of time that one order paid for: what is refunded, shortened and prorated."""

    order_id: OrderId
    start: datetime
    end: datetime


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
    """The order that started it."""
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

    @property
    def is_running(self) -> bool:
        """Tell whether it gives access."""
        return self.status is not SubscriptionStatus.ENDED


def period_ends(subscription: Subscription, count: int) -> tuple[datetime, ...]:
    """Return the ends of the next `count` periods by the one calendar rule, the present period's end first."""
    period = subscription.period
    return tuple(
        end_of(subscription.anchor, one_unit(period.unit), subscription.units + number * period.count)
        for number in range(count)
    )


def one_unit(unit: PeriodUnit) -> Period:
    """Return the smallest period of a unit: ends are counted in units, so that periods of all lengths mix."""
    return Period(count=1, unit=unit)
