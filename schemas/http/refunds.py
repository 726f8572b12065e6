"""Refunds and saved means of payment over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import StringConstraints

from domain.refunds.commands import RequestRefund
from schemas.http.fields import AnswerModel, MoneyAnswer, RequestModel, Wide

if TYPE_CHECKING:
    from domain.ids import PaymentId

Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class RequestRefundRequest(RequestModel):
    """Give money back: `amount` in minor units of the payment's currency, or all that the rules allow."""

    amount: Annotated[int, Wide("amount_out_of_range")] | None = None
    reason: Reason | None = None

    def to_command(self, payment_id: PaymentId, *, by_manager: bool) -> RequestRefund:
        """The intent. Whether the amount is one is for the domain to say, with its own code."""
        return RequestRefund(payment_id=payment_id, amount=self.amount, reason=self.reason, by_manager=by_manager)


class RefundAnswer(AnswerModel):
    """A refund of one payment; `rule` says what allowed it."""

    id: str
    payment_id: str
    order_id: str
    status: str
    amount: MoneyAnswer
    reason: str
    rule: str
    requested_by: str
    failure_reason: str | None
    requested_at: datetime


class PaymentMethodAnswer(AnswerModel):
    """A saved means of payment; `label` is what its owner knows it by. Never a card number."""

    id: str
    provider: str
    label: str | None
    saved_at: datetime


class PaymentMethodsAnswer(AnswerModel):
    """All saved means of payment, the one that is charged first at the front."""

    items: tuple[PaymentMethodAnswer, ...]
