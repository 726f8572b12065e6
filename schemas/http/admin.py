"""What managers see of sales: the customer's own answer, and whose it is; and access that they give."""

from __future__ import annotations

from datetime import datetime

from domain.grants.commands import GiveGrant
from domain.ids import Resource
from schemas.http.fields import AnswerModel, Moment, NameText, RequestModel
from schemas.http.orders import OrderAnswer, PaymentAnswer
from schemas.http.refunds import RefundAnswer


class AccountOrderAnswer(OrderAnswer):
    """An order of some account."""

    account: str


class AccountPaymentAnswer(PaymentAnswer):
    """A payment of some account; `reference` is what the provider calls it."""

    account: str
    reference: str | None


class AccountRefundAnswer(RefundAnswer):
    """A refund of some account."""

    account: str


class GiveGrantRequest(RequestModel):
    """Let the customer watch `film:<product id>` or `role:<role>`, until a time or until it is revoked."""

    resource: NameText
    reason: NameText
    until: Moment | None = None

    def to_command(self) -> GiveGrant:
        """The intent."""
        return GiveGrant(resource=Resource(self.resource), reason=self.reason, until=self.until)


class RevokeGrantRequest(RequestModel):
    """Why the grant is taken back."""

    reason: NameText


class GrantAnswer(AnswerModel):
    """Access that a manager gave; `ended_at` is set where it was revoked or its time was over."""

    account: str
    resource: str
    until: datetime | None
    reason: str
    given_at: datetime
    given_by: str
    ended_at: datetime | None
    ended_because: str | None
