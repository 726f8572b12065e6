"""A refund: money of one payment on its way back to the customer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.entitlements.state import TakenAccess
from domain.ids import OrderId, PaymentId, RefundId
from domain.money import Money
from domain.payments.state import ProviderCall
from domain.policies.settings import RefundAccess
from domain.records import dataclass


class RefundStatus(StrEnum):
    """requested → submitted → succeeded, or failed; what failed may turn out to have succeeded, and the reverse."""

    REQUESTED = "requested"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


UNDER_WAY = frozenset({RefundStatus.REQUESTED, RefundStatus.SUBMITTED})
"""A refund in one of these may still succeed or fail."""


CREDIT = "credit goes back with what it bought"
OWED_WITHOUT_ACCESS = "an earlier refund that took no access did not reach the customer"


class RefundedBy(StrEnum):
    """Who asked for the money back."""

    CUSTOMER = "customer"
    MANAGER = "manager"
    POLICY = "policy"
    """We ourselves: paid twice, paid too late, cancelled with something left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund of one payment."""

    id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    payment_reference: str
    amount: Money
    reason: str
    requested_by: RefundedBy
    ends_access: bool
    """Whether what it pays back for ends, even if not all of the payment's money went back."""
    requested_at: datetime
    status: RefundStatus
    reference: str | None
    call: ProviderCall | None
    sweep_at: datetime | None = None
    sweeps: int = 0
    access: RefundAccess = RefundAccess.FOLLOWS
    rule: str = ""
    """What allowed it."""
    failed_reference: str | None = None
    """What the provider calls the refund that failed or was reversed: a word that it had succeeded is an old one."""
    reversed_at: datetime | None = None
    """When it failed after it had succeeded."""
    taken: tuple[TakenAccess, ...] = ()
    """The access that went with it and was not given again."""
    credit: int = 0
    """Minor units of it that are money which became credit of another order: they take the time that they bought."""

    @property
    def is_for_nothing(self) -> bool:
        """Tell whether it pays back for nothing that its own order still gives: no access goes with it."""
        return self.requested_by is RefundedBy.POLICY or self.rule in {CREDIT, OWED_WITHOUT_ACCESS}
