"""What a provider says about a dispute."""

from __future__ import annotations

from datetime import datetime

from domain.disputes.state import DisputeStatus
from domain.ids import PaymentId
from domain.money import Money
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeReport:
    """How a dispute stood at the provider when it told."""

    reference: str
    """The provider's name of the dispute."""
    status: DisputeStatus
    is_inquiry: bool
    amount: Money
    reason: str
    evidence_due_at: datetime | None
    opened_at: datetime
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDispute:
    """The provider told by itself, by a verified webhook. `report_id` is the provider's name of the webhook."""

    payment_id: PaymentId
    provider: str
    report_id: str
    dispute: DisputeReport


DisputeCommand = ReportDispute
