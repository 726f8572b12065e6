"""Orders and payments over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from domain.ids import PriceId
from domain.orders.commands import OrderItem, PlaceOrder
from schemas.http.fields import (
    AnswerModel,
    MoneyAnswer,
    MoneyRequest,
    NameText,
    PeriodAnswer,
    RequestModel,
    Wide,
)

ITEMS_MAX = 100
"""Far above the policy, which has the last word: this only bounds what a request may cost."""


WebAddress = Annotated[
    str,
    StringConstraints(
        max_length=2000, pattern=r"^https?://[^\s\x00-\x1f\x7f-\x9f/?#@\\]+(?:[/?#][^\s\x00-\x1f\x7f-\x9f]*)?$"
    ),
]
"""An http(s) address with a host, and without a user or password in it."""


class OrderItemRequest(RequestModel):
    """One thing to buy, by its price; `months` for subscriptions with a price by the month."""

    price_id: NameText
    months: Annotated[int, Wide("months_invalid")] | None = None


class PlaceOrderRequest(RequestModel):
    """Buy these items. With `expected_total`, the order is rejected where it would cost anything else now."""

    items: Annotated[list[OrderItemRequest], Field(max_length=ITEMS_MAX)]
    promo_code: NameText | None = None
    provider: NameText | None = None
    auto_renew: bool = True
    return_url: WebAddress | None = None
    expected_total: MoneyRequest | None = None

    def to_command(self, default_provider: str) -> PlaceOrder:
        """The intent, at the default provider where none is named."""
        return PlaceOrder(
            items=tuple(OrderItem(price_id=PriceId(item.price_id), months=item.months) for item in self.items),
            provider=self.provider or default_provider,
            auto_renew=self.auto_renew,
            promo_code=self.promo_code,
            return_url=self.return_url,
            expected_total=None if self.expected_total is None else self.expected_total.to_domain(),
        )


class NoBody(RequestModel):
    """A command that says all in its address; an empty JSON object is allowed."""


class OrderPaymentAnswer(AnswerModel):
    """How the payment of an order stands; at `confirmation_url` the customer pays."""

    id: str
    status: str
    confirmation_url: str | None


class QuoteLineAnswer(AnswerModel):
    """One thing at its price; `discount` is its part of what the discount takes off `total`."""

    product_id: str
    price_id: str
    kind: str
    title: str
    resource: str
    unit_price: MoneyAnswer
    quantity: int
    total: MoneyAnswer
    discount: MoneyAnswer
    period: PeriodAnswer | None


class OrderLineAnswer(QuoteLineAnswer):
    """One thing in an order, at the price that was agreed."""

    subscription_id: str | None


class AppliedDiscountAnswer(AnswerModel):
    """The discount that won: a personal one, one for months, or a promo code; `reason` says why in a sentence."""

    kind: str
    reference: str
    amount: MoneyAnswer
    reason: str


class OrderAnswer(AnswerModel):
    """An order with everything that was agreed about it.

    `purpose` is purchase, renewal, plan_change or trial. At a change of plan, `credit` is what is left of the old one:
    `total` less `credit` is to be paid. `balance_used` of that is, or was, paid out of the balance; the rest in money.
    `payment` is null where nothing was left to pay in money, and where the order ended before anything was asked for.
    """

    id: str
    status: str
    items: tuple[OrderLineAnswer, ...]
    subtotal: MoneyAnswer
    discount: MoneyAnswer
    total: MoneyAnswer
    credit: MoneyAnswer | None
    balance_used: MoneyAnswer
    purpose: str
    applied_discount: AppliedDiscountAnswer | None
    auto_renew: bool
    payment: OrderPaymentAnswer | None
    failure_reason: str | None
    placed_at: datetime
    paid_at: datetime | None


class PaymentAnswer(AnswerModel):
    """A payment: one attempt to collect the money of an order."""

    id: str
    order_id: str
    status: str
    amount: MoneyAnswer
    provider: str
    confirmation_url: str | None
    decline_reason: str | None
    failure_reason: str | None
    method: str | None
    """What the customer knows the means of payment by, such as `visa •••• 4242`."""
    refunded: MoneyAnswer
    refunding: MoneyAnswer
    disputed: MoneyAnswer
    """What the customer's bank has taken in disputes."""
    refundable: MoneyAnswer | None = None
    """What may be given back now; only in a list that is asked for it."""
    refund_rule: str | None = None
    """What allows that."""
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
