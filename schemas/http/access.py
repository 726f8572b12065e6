"""Subscriptions and entitlements over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.subscriptions.commands import CancelAt
from schemas.http.fields import AnswerModel, MoneyAnswer, PeriodAnswer, RequestModel


class CancelSubscriptionRequest(RequestModel):
    """When the subscription ends: with what is paid, or at once."""

    at: Literal["period_end", "now"] = "period_end"

    @property
    def moment(self) -> CancelAt:
        """The word of the domain."""
        return CancelAt(self.at)


class SubscriptionAnswer(AnswerModel):
    """A subscription; `price` is that of one period, `period_end` the end of all that was paid or given.

    `access_end` is the end of access if nothing more is paid, `renew_at` when it is next tried to renew it, and
    `renewal_failure` why the last try brought no money.
    """

    id: str
    status: str
    order_id: str
    product_id: str
    title: str
    price_id: str
    price: MoneyAnswer
    period: PeriodAnswer
    resource: str
    auto_renew: bool
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
    renewal_failure: str | None
    ended_at: datetime | None


class EntitlementAnswer(AnswerModel):
    """One thing that may be watched; `until` null means for ever. The same item as on `billing.entitlements`."""

    resource: str
    until: datetime | None
    reason: str
