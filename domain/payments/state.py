"""A payment: one attempt to collect the money of an order at a provider."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal, assert_never

from domain.ids import EffectId, OrderId, PaymentId
from domain.money import Money
from domain.records import dataclass


class PaymentStatus(StrEnum):
    """created → action_required | processing → succeeded, or failed, cancelled, expired; then refunds."""

    CREATED = "created"
    ACTION_REQUIRED = "action_required"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class CallKind(StrEnum):
    """What a provider is asked to do about a payment."""

    CREATE_CHECKOUT = "create_checkout"
    CHARGE = "charge"
    FETCH = "fetch"
    CLOSE_CHECKOUT = "close_checkout"
    REFUND = "refund"


class CloseReason(StrEnum):
    """Why a payment is being closed at the provider; it says how the payment ends."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMethod:
    """A means of payment that the customer left at the provider. We know it by the provider's names alone."""

    provider: str
    customer_reference: str
    method_reference: str
    label: str | None
    """Such as `visa •••• 4242`."""
    saved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """A question to the provider that has no answer yet. It is repeated, with the same effect id, until it has one."""

    effect_id: EffectId
    kind: CallKind
    attempt: int
    asked_at: datetime
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The provider has not said yet where the customer pays."""

    kind: Literal["created"] = "created"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequired:
    """The customer must act at the provider: enter a card, pass 3-D Secure."""

    kind: Literal["action_required"] = "action_required"
    reference: str
    confirmation_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """The provider has what it needs and is collecting the money."""

    kind: Literal["processing"] = "processing"
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The payment is to end unpaid; final only when the provider confirms that it can no longer be paid."""

    kind: Literal["closing"] = "closing"
    reference: str | None
    reason: CloseReason
    detail: str
    before: PaymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The money arrived."""

    kind: Literal["succeeded"] = "succeeded"
    reference: str
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The payment ended without money."""

    kind: Literal["ended"] = "ended"
    reference: str | None
    status: PaymentStatus
    detail: str


PaymentPhase = Created | ActionRequired | Processing | Closing | Succeeded | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment of one order."""

    id: PaymentId
    order_id: OrderId
    amount: Money
    provider: str
    created_at: datetime
    expires_at: datetime
    return_url: str | None
    save_method: bool
    phase: PaymentPhase
    call: ProviderCall | None
    method: SavedMethod | None = None
    """Set when a saved method is charged; absent when the customer pays on the provider's page."""
    sweep_at: datetime | None = None
    """When the provider is asked how the payment stands, unless it tells before."""
    sweeps: int = 0
    refunded: int = 0
    """Minor units that went back to the customer."""
    refunding: int = 0
    """Minor units that are reserved for refunds under way."""

    @property
    def status(self) -> PaymentStatus:
        """The status that the outside sees."""
        match self.phase:
            case Created():
                return PaymentStatus.CREATED
            case ActionRequired():
                return PaymentStatus.ACTION_REQUIRED
            case Processing():
                return PaymentStatus.PROCESSING
            case Closing(before=before):
                return before
            case Succeeded():
                if self.refunded == 0:
                    return PaymentStatus.SUCCEEDED
                is_whole = self.refunded >= self.amount.amount
                return PaymentStatus.REFUNDED if is_whole else PaymentStatus.PARTIALLY_REFUNDED
            case Ended(status=status):
                return status
            case _:
                assert_never(self.phase)

    @property
    def reference(self) -> str | None:
        """The name of the payment at the provider, as soon as it is known."""
        return None if isinstance(self.phase, Created) else self.phase.reference
