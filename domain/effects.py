"""What the engine asks of the outside world, and what the outside world answers.

An effect is written in the same transaction as the events that caused it. The gateway executes it at least once, with
its `effect_id` as the provider's idempotency key, so that the money moves once.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.ids import EffectId, OrderId, PaymentId, RefundId
from domain.money import Money
from domain.promo.commands import AnswerPromoReservation, ReleasePromoCode, ReservePromoCode, SettlePromoCode
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCheckout:
    """Open a page at the provider where the customer pays. Everything in it is the same at each repeat."""

    effect_id: EffectId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    attempt: int
    amount: Money
    description: str
    save_method: bool
    return_url: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPayment:
    """Ask the provider how the payment stands. Reads only."""

    effect_id: EffectId
    payment_id: PaymentId
    provider: str
    attempt: int
    reference: str | None
    customer_reference: str | None = None
    """As in CloseCheckout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCheckout:
    """Make the payment unpayable at the provider, or learn that it was paid before."""

    effect_id: EffectId
    payment_id: PaymentId
    provider: str
    attempt: int
    reference: str | None
    customer_reference: str | None = None
    """Whose saved method is charged: among that customer's charges it is found without its name. Absent for pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeMethod:
    """Charge a saved means of payment while the customer is away. Everything in it is the same at each repeat."""

    effect_id: EffectId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    attempt: int
    amount: Money
    description: str
    customer_reference: str
    method_reference: str
    created_at: datetime
    expires_at: datetime
    """From then on it is not made any more: the provider is only asked whether it was made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment:
    """Give money of a payment back; with a `reference`, tell how the refund of that name stands."""

    effect_id: EffectId
    refund_id: RefundId
    payment_id: PaymentId
    provider: str
    attempt: int
    payment_reference: str
    amount: Money
    reference: str | None
    requested_at: datetime


Effect = CreateCheckout | ChargeMethod | FetchPayment | CloseCheckout | RefundPayment
"""Calls to a provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCommand:
    """Say something to another key: the gateway relays it as a command, whose id comes from effect id and attempt."""

    effect_id: EffectId
    attempt: int
    key: str
    data: ReservePromoCode | ReleasePromoCode | SettlePromoCode | AnswerPromoReservation


AnyEffect = Effect | SendCommand


class RefundAnswerStatus(StrEnum):
    """What a provider says about a refund."""

    PENDING = "pending"
    """The provider took it and works on it: `reference` is set."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The provider refused it, for good: `detail` says why."""
    UNKNOWN = "unknown"
    """Whether it happened is not known. Never the same as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAnswer:
    """What a provider said about a refund."""

    status: RefundAnswerStatus
    reference: str | None = None
    detail: str | None = None
    provider_request_id: str | None = None


class AnswerStatus(StrEnum):
    """What a provider says about a payment."""

    ACTION_REQUIRED = "action_required"
    """The customer must act at `confirmation_url`."""
    PROCESSING = "processing"
    """Collecting; the end is not known yet."""
    SUCCEEDED = "succeeded"
    """The money arrived: `amount`, `paid_at` and `reference` are set."""
    DECLINED = "declined"
    """The means of payment was declined: `decline_reason`; `hard` when no retry can help."""
    CLOSED = "closed"
    """The payment can no longer be paid at the provider."""
    REFUSED = "refused"
    """The provider refuses the request itself; repeating it changes nothing: `detail` says why."""
    UNKNOWN = "unknown"
    """Timeout, network or server error: whether it happened is not known. Never the same as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAnswer:
    """What a provider said. Fields that do not belong to the status are absent."""

    status: AnswerStatus
    reference: str | None = None
    """The provider's name of the payment (for Stripe: the Checkout Session's id)."""
    confirmation_url: str | None = None
    amount: Money | None = None
    paid_at: datetime | None = None
    decline_reason: str | None = None
    hard: bool = False
    customer_reference: str | None = None
    method_reference: str | None = None
    method_label: str | None = None
    """Such as `visa •••• 4242`: what a customer knows a saved method by. Never more of a card than its last four."""
    detail: str | None = None
    provider_request_id: str | None = None
