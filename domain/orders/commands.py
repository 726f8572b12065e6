"""What a customer asks of an order."""

from __future__ import annotations

from domain.ids import OrderId, PriceId
from domain.money import Money
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderItem:
    """One thing to buy, by its price. `months` is for subscriptions with a price by the month."""

    price_id: PriceId
    months: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Buy these items. `expected_total`, where given, must be what the order costs now."""

    items: tuple[OrderItem, ...]
    provider: str
    auto_renew: bool = True
    promo_code: str | None = None
    return_url: str | None = None
    expected_total: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Give up an order that is not paid yet."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireOrder:
    """The order waits for its promo code for too long."""

    order_id: OrderId


OrderCommand = PlaceOrder | CancelOrder | ExpireOrder
