"""What happened to a payment."""

from __future__ import annotations

from datetime import datetime

from domain.ids import EffectId, OrderId, PaymentId
from domain.money import Money
from domain.payments.state import CallKind, CloseReason, SavedMethod
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCreated:
    """The provider is being asked to collect the amount; `effect_id` is the idempotency key of that call."""

    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    provider: str
    effect_id: EffectId
    return_url: str | None
    save_method: bool
    created_at: datetime
    expires_at: datetime
    repeat_at: datetime
    method: SavedMethod | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentActionRequired:
    """The customer must act at `confirmation_url`. `sweep_at`: when the provider is asked if it stays silent."""

    payment_id: PaymentId
    order_id: OrderId
    reference: str
    confirmation_url: str
    sweep_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentProcessing:
    """The provider is collecting the money."""

    payment_id: PaymentId
    order_id: OrderId
    reference: str
    sweep_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCallRepeated:
    """A call to the provider had no answer and was made again with the same effect id."""

    payment_id: PaymentId
    effect_id: EffectId
    kind: CallKind
    attempt: int
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFetchRequested:
    """The provider was silent and is asked how the payment stands."""

    payment_id: PaymentId
    effect_id: EffectId
    sweep: int
    requested_at: datetime
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentUnchanged:
    """The provider was asked and had nothing new; it is asked again at `sweep_at`, where that is set."""

    payment_id: PaymentId
    effect_id: EffectId
    sweep_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDeclined:
    """The provider declined the customer's means of payment."""

    payment_id: PaymentId
    order_id: OrderId
    decline_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCloseRequested:
    """The payment is to end unpaid; the provider is asked to make it unpayable.

    Without a `reference` the call that opens the page is not answered yet: it is closed as soon as it has a name.
    A charge is closed at once also then: the provider finds it by the payment, and it is not asked for any more.
    """

    payment_id: PaymentId
    reference: str | None
    reason: CloseReason
    detail: str
    effect_id: EffectId
    requested_at: datetime
    repeat_at: datetime
    is_charge: bool = False
    """Whether a saved method is charged."""

    @property
    def asks(self) -> bool:
        """Whether the provider is asked now, in the place of whatever it was asked before."""
        return self.is_charge or self.reference is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceeded:
    """The money arrived. `customer_reference` and `method_reference` are the provider's names, kept for renewals."""

    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    provider: str
    reference: str
    paid_at: datetime
    customer_reference: str | None
    method_reference: str | None
    method_label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed:
    """The payment ended unpaid because the provider declined or refused it."""

    payment_id: PaymentId
    order_id: OrderId
    reason: str
    hard: bool = False
    """No retry with the same means of payment can help."""
    reference: str | None = None
    """The provider's name of it, where it was not known before: should money come after all, it is known by it."""
    sweep_at: datetime | None = None
    """A charge that the provider never named is looked for then: a call that was under way may still have made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCancelled:
    """The payment ended unpaid because the customer gave the order up."""

    payment_id: PaymentId
    order_id: OrderId
    sweep_at: datetime | None = None
    """As in PaymentFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentExpired:
    """The payment ended unpaid because nobody paid in time."""

    payment_id: PaymentId
    order_id: OrderId
    sweep_at: datetime | None = None
    """As in PaymentFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodSaved:
    """The customer's means of payment may be charged for renewals; it takes the place of an earlier one."""

    payment_id: PaymentId
    """The payment that it was left with."""
    method: SavedMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodRemoved:
    """The means of payment is charged no more."""

    method_reference: str


PaymentEvent = (
    PaymentCreated
    | PaymentActionRequired
    | PaymentProcessing
    | PaymentCallRepeated
    | PaymentFetchRequested
    | PaymentUnchanged
    | PaymentDeclined
    | PaymentCloseRequested
    | PaymentSucceeded
    | PaymentFailed
    | PaymentCancelled
    | PaymentExpired
)
MethodEvent = PaymentMethodSaved | PaymentMethodRemoved
