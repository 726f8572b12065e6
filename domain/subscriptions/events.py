"""What happened to a subscription."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.calendar import Period
from domain.ids import OrderId, PriceId, ProductId, Resource, SubscriptionId
from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStarted:
    """The first period was paid and runs."""

    subscription_id: SubscriptionId
    order_id: OrderId
    product_id: ProductId
    price_id: PriceId
    price: Money
    period: Period
    resource: Resource
    auto_renew: bool
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEnded:
    """The last paid period is over."""

    subscription_id: SubscriptionId
    ended_at: datetime


SubscriptionEvent = SubscriptionStarted | SubscriptionEnded
