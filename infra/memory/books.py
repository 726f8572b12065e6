"""The books of the provider in memory: what is collected, given back and disputed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.disputes.commands import DisputeReport
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus

if TYPE_CHECKING:
    from datetime import datetime

    from domain.disputes.state import DisputeStatus
    from domain.money import Money

EVIDENCE_TIME = timedelta(days=7)


@dataclass(slots=True, kw_only=True)
class Collection:
    """Money to be collected, as the provider's books have it: on a page, or from a saved method."""

    reference: str
    payment_id: str
    account: str
    amount: Money
    save_method: bool = False
    status: AnswerStatus = AnswerStatus.ACTION_REQUIRED
    paid_at: datetime | None = None
    decline_reason: str | None = None
    hard: bool = False
    returned: int = 0
    """Minor units that were given back, or are on their way."""
    disputed: int = 0
    """Minor units that the customer's bank has taken."""

    def answer(self) -> ProviderAnswer:
        """What the provider says of it."""
        if self.status is AnswerStatus.SUCCEEDED:
            return ProviderAnswer(
                status=self.status,
                reference=self.reference,
                amount=self.amount,
                paid_at=self.paid_at,
                customer_reference=customer_of(self.account) if self.save_method else None,
                method_reference=method_of(self.account) if self.save_method else None,
                method_label="memory •••• 4242" if self.save_method else None,
            )
        is_open = self.status is AnswerStatus.ACTION_REQUIRED
        return ProviderAnswer(
            status=self.status,
            reference=self.reference,
            confirmation_url=f"https://provider.invalid/pay/{self.reference}" if is_open else None,
            decline_reason=self.decline_reason,
            hard=self.hard,
        )


@dataclass(slots=True, kw_only=True)
class Method:
    """A saved means of payment, and what it does when it is charged; a test changes it."""

    customer_reference: str
    declines: str | None = None
    """The reason with which it declines, or None."""
    hard: bool = False
    authenticates: bool = False
    """Whether the customer has to confirm each charge."""


@dataclass(slots=True, kw_only=True)
class Refund:
    """Money given back, as the provider's books have it."""

    reference: str
    refund_id: str
    payment_reference: str
    amount: Money
    status: RefundAnswerStatus
    detail: str | None = None

    def answer(self) -> RefundAnswer:
        """What the provider says of it."""
        return RefundAnswer(status=self.status, reference=self.reference, detail=self.detail)


@dataclass(slots=True, kw_only=True)
class Dispute:
    """Money that the customer's bank took back, or only asks about, as the provider's books have it."""

    reference: str
    payment_reference: str
    payment_id: str
    amount: Money
    status: DisputeStatus
    is_inquiry: bool
    opened_at: datetime

    def report(self, at: datetime) -> DisputeReport:
        """What a webhook of this moment says of it."""
        return DisputeReport(
            reference=self.reference,
            status=self.status,
            is_inquiry=self.is_inquiry,
            amount=self.amount,
            reason="fraudulent",
            evidence_due_at=self.opened_at + EVIDENCE_TIME,
            opened_at=self.opened_at,
            told_at=at,
        )


def customer_of(account: str) -> str:
    """Return the name that the provider gives the customer."""
    return f"customer of {account}"


def method_of(account: str) -> str:
    """Return the name of the means of payment that the provider keeps of the customer."""
    return f"method of {account}"
