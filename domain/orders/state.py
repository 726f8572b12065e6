"""An order: what is bought, at which price it was agreed, and how far it has come."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.calendar import Period
from domain.catalog.state import ProductKind
from domain.ids import OrderId, PaymentId, PriceId, ProductId, Resource, SubscriptionId
from domain.money import Money
from domain.policies.terms import Terms
from domain.records import dataclass


class OrderStatus(StrEnum):
    """pending → awaiting_payment → paid → fulfilled, or cancelled, expired, failed."""

    PENDING = "pending"
    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class OrderPurpose(StrEnum):
    """Why there is an order: somebody bought, a subscription's next period is due, its plan changes, it is tried."""

    PURCHASE = "purchase"
    RENEWAL = "renewal"
    PLAN_CHANGE = "plan_change"
    TRIAL = "trial"


OPEN_STATUSES = frozenset({OrderStatus.PENDING, OrderStatus.AWAITING_PAYMENT})
"""An order in one of these may still be paid or cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One thing bought, with everything that was agreed about it copied from the catalogue."""

    product_id: ProductId
    price_id: PriceId
    kind: ProductKind
    title: str
    resource: Resource
    unit_price: Money
    quantity: int
    """How many periods of the price are bought; 1 for films."""
    total: Money
    period: Period | None = None
    """The period of one unit; absent for films."""
    validity_days: int | None = None
    """For films: how long they may be watched; absent: for ever."""
    subscription_id: SubscriptionId | None = None
    """For subscriptions: the id that it has as soon as it is paid."""
    discount_amount: int = 0
    """Minor units that are taken off `total`."""

    terms: Terms | None = None
    """What was agreed about grace, refunds and renewals; absent in orders from before there was such a thing."""

    @property
    def net(self) -> Money:
        """What is paid for the line."""
        return Money(amount=self.total.amount - self.discount_amount, currency=self.total.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of one account."""

    id: OrderId
    payment_id: PaymentId
    lines: tuple[OrderLine, ...]
    total: Money
    auto_renew: bool
    placed_at: datetime
    purpose: OrderPurpose = OrderPurpose.PURCHASE
    provider: str = ""
    return_url: str | None = None
    promo_code: str | None = None
    """The promo code whose discount it has."""
    credit: Money | None = None
    """What is left of the old plan, in money; it is taken off what is to be paid."""
    credited: tuple[OrderId, ...] = ()
    """The orders whose periods the credit comes from."""
    balance_used: int = 0
    """Minor units of the customer's balance that it holds, or that paid for it."""
    status: OrderStatus = OrderStatus.PENDING

    @property
    def due(self) -> Money:
        """What is to be paid in money."""
        credit = 0 if self.credit is None else self.credit.amount
        return Money(amount=self.total.amount - credit - self.balance_used, currency=self.total.currency)
