"""A dispute: the customer's bank takes the money of a payment back, or only asks about it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.entitlements.state import TakenAccess
from domain.ids import DisputeId, OrderId, PaymentId
from domain.money import Money
from domain.records import dataclass


class DisputeStatus(StrEnum):
    """needs_response → under_review → won | lost; an inquiry that came to nothing is closed."""

    NEEDS_RESPONSE = "needs_response"
    """The bank waits for evidence."""
    UNDER_REVIEW = "under_review"
    """The bank has the evidence and decides."""
    WON = "won"
    """The bank decided for us: the money is ours again."""
    LOST = "lost"
    """The bank decided for the customer: the money is gone."""
    CLOSED = "closed"
    """It ended without a decision, and no money moved."""


OPEN_STATUSES = frozenset({DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW})
"""A dispute in one of these waits for the bank or for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute of one payment, as the provider told of it last."""

    id: DisputeId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    reference: str
    """The provider's name of the dispute."""
    amount: Money
    reason: str
    """The bank's, in the provider's words, such as `fraudulent`."""
    status: DisputeStatus
    is_inquiry: bool
    """The bank only asks; it has not taken the money."""
    evidence_due_at: datetime | None
    opened_at: datetime
    told_at: datetime
    """When the provider said what we know: words may come in any order."""
    taken: tuple[TakenAccess, ...] = ()
    """The access that it took back and that was not given again."""
    owed: int = 0
    """Minor units that go back to the customer if the bank gives them to us again."""

    @property
    def is_open(self) -> bool:
        """Tell whether it waits for its end."""
        return self.status in OPEN_STATUSES

    @property
    def withheld(self) -> int:
        """The minor units that the bank has taken."""
        is_taken = not self.is_inquiry and (self.is_open or self.status is DisputeStatus.LOST)
        return self.amount.amount if is_taken else 0
