"""What happened to a refund."""

from __future__ import annotations

from datetime import datetime

from domain.entitlements.state import TakenAccess
from domain.ids import EffectId, OrderId, PaymentId, RefundId
from domain.money import Money
from domain.policies.settings import RefundAccess
from domain.records import dataclass
from domain.refunds.state import RefundedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequested:
    """The amount is reserved out of the payment and the provider is asked for it. `rule` says what allowed it."""

    refund_id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    payment_reference: str
    amount: Money
    reason: str
    rule: str
    requested_by: RefundedBy
    ends_access: bool
    effect_id: EffectId
    requested_at: datetime
    repeat_at: datetime
    access: RefundAccess = RefundAccess.FOLLOWS
    """What becomes of the access that it pays back for: the policy that held."""
    credit: int = 0
    """Minor units of it that are money which became credit of another order: they pay back for what that bought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSubmitted:
    """The provider took the refund and works on it; it is asked again at `sweep_at` unless it tells before."""

    refund_id: RefundId
    payment_id: PaymentId
    reference: str
    sweep_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCallRepeated:
    """The provider did not answer and is asked again, with the same effect id or about the same refund."""

    refund_id: RefundId
    effect_id: EffectId
    attempt: int
    sweeps: int
    asked_at: datetime
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSucceeded:
    """The money is on its way to the customer."""

    refund_id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    reference: str
    taken: tuple[TakenAccess, ...] = ()
    """The access that goes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed:
    """The provider refused the refund: the money stays paid, and access stays as it was."""

    refund_id: RefundId
    payment_id: PaymentId
    amount: Money
    reason: str
    reference: str | None = None
    """What the provider calls the refund that failed; absent where it refused the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReinstated:
    """The refund had failed as far as we knew, and the provider says that the money went: it is promised again."""

    refund_id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    amount: Money
    reference: str
    reinstated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReversed:
    """The provider had given the money back, and the customer's bank did not take it: it is ours again.

    It may be asked for again, however late; the access that had gone with it is given again.
    """

    refund_id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    reason: str
    reversed_at: datetime
    restored: tuple[TakenAccess, ...] = ()
    """The access that has no reason to be gone any more."""


RefundEvent = (
    RefundRequested
    | RefundSubmitted
    | RefundCallRepeated
    | RefundSucceeded
    | RefundFailed
    | RefundReinstated
    | RefundReversed
)
