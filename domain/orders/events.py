"""What happened to an order."""

from __future__ import annotations

from datetime import datetime

from domain.ids import OrderId, PaymentId
from domain.money import Money
from domain.orders.state import OrderLine, OrderPurpose
from domain.pricing.state import AppliedDiscount
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """The customer agreed to these lines at these prices. `payment_id` is the name of its payment, if one is needed."""

    order_id: OrderId
    payment_id: PaymentId
    lines: tuple[OrderLine, ...]
    subtotal: Money
    discount: Money
    total: Money
    auto_renew: bool
    placed_at: datetime
    purpose: OrderPurpose = OrderPurpose.PURCHASE
    applied: AppliedDiscount | None = None
    """The discount that won, and why."""
    provider: str = ""
    return_url: str | None = None
    credit: Money | None = None
    """What is left of the old plan, in money: `total` − `credit` is to be paid."""
    credited: tuple[OrderId, ...] = ()
    """The orders whose periods the credit comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAlreadyPlaced:
    """The same things were ordered again while the first order was open; the first one is the answer."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaid:
    """The money for the order arrived."""

    order_id: OrderId
    payment_id: PaymentId
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaymentWaived:
    """Nothing is to be paid for the order, for the reason given."""

    order_id: OrderId
    reason: str
    waived_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFulfilled:
    """Everything in the order was given."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled:
    """The customer gave the order up before paying."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExpired:
    """Nobody paid in time."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed:
    """The payment failed for good, for the reason given."""

    order_id: OrderId
    reason: str


OrderEvent = (
    OrderPlaced
    | OrderAlreadyPlaced
    | OrderPaid
    | OrderPaymentWaived
    | OrderFulfilled
    | OrderCancelled
    | OrderExpired
    | OrderFailed
)
