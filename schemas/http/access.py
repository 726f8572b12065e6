"""Subscriptions and entitlements over HTTP."""

from __future__ import annotations

from datetime import datetime

from schemas.http.fields import AnswerModel, MoneyAnswer, PeriodAnswer


class SubscriptionAnswer(AnswerModel):
    """A subscription and its present period; `price` is that of one period of its price."""

    id: str
    status: str
    order_id: str
    product_id: str
    price_id: str
    price: MoneyAnswer
    period: PeriodAnswer
    resource: str
    auto_renew: bool
    period_start: datetime
    period_end: datetime
    ended_at: datetime | None


class EntitlementAnswer(AnswerModel):
    """One thing that may be watched; `until` null means for ever."""

    resource: str
    until: datetime | None
    reason: str
    order_id: str
    subscription_id: str | None
