"""Entitlements over HTTP."""

from __future__ import annotations

from datetime import datetime

from schemas.http.fields import AnswerModel


class EntitlementAnswer(AnswerModel):
    """One thing that may be watched; `until` null means for ever, `order_id` null that a manager gave it."""

    resource: str
    until: datetime | None
    reason: str
    order_id: str | None
    subscription_id: str | None
