"""What happened to a dispute. Each event says what the payment has in dispute after it, all its disputes together."""

from __future__ import annotations

from datetime import datetime

from domain.disputes.state import DisputeStatus
from domain.entitlements.state import TakenAccess
from domain.ids import DisputeId, OrderId, PaymentId
from domain.money import Money
from domain.policies.settings import DisputeAccess
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeOpened:
    """The customer's bank disputes the payment. `access` is the policy that says what becomes of the access."""

    dispute_id: DisputeId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    reference: str
    amount: Money
    reason: str
    is_inquiry: bool
    status: DisputeStatus
    evidence_due_at: datetime | None
    opened_at: datetime
    told_at: datetime
    access: DisputeAccess
    disputed: Money
    taken: tuple[TakenAccess, ...] = ()
    """The access that it takes back at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeUpdated:
    """The provider says something else of the dispute than before, or the payment's money came after the dispute."""

    dispute_id: DisputeId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    reason: str
    is_inquiry: bool
    status: DisputeStatus
    evidence_due_at: datetime | None
    told_at: datetime
    access: DisputeAccess
    disputed: Money
    taken: tuple[TakenAccess, ...] = ()
    """All access that the dispute has taken back by now."""
    owed: int = 0
    """Minor units that were to go back to the customer in the meantime: they do if the bank gives them to us again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeWon:
    """The bank decided for us: the money is ours again, and access that was taken for it is given again."""

    dispute_id: DisputeId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    told_at: datetime
    disputed: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLost:
    """The bank decided for the customer: the money is gone, and by `access` what it had bought."""

    dispute_id: DisputeId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    told_at: datetime
    access: DisputeAccess
    disputed: Money
    taken: tuple[TakenAccess, ...] = ()
    """All access that the dispute has taken back by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeClosed:
    """The dispute ended without a decision, and no money moved."""

    dispute_id: DisputeId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    told_at: datetime
    disputed: Money


DisputeEvent = DisputeOpened | DisputeUpdated | DisputeWon | DisputeLost | DisputeClosed
