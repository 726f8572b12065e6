"""A subscription: access to a role for periods that were paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.calendar import Period
from domain.ids import OrderId, PriceId, ProductId, Resource, SubscriptionId
from domain.money import Money


class SubscriptionStatus(StrEnum):
    """active → ended."""

    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A running or ended subscription of one account."""

    id: SubscriptionId
    product_id: ProductId
    price_id: PriceId
    price: Money
    period: Period
    resource: Resource
    order_id: OrderId
    anchor: datetime
    """The moment from which periods are counted: the day of the month of every end comes from it."""
    period_start: datetime
    period_end: datetime
    auto_renew: bool
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE
