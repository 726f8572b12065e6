"""Entitlements over HTTP."""

from __future__ import annotations

from datetime import datetime

from schemas.http.fields import AnswerModel


class EntitlementAnswer(AnswerModel):
    """One thing that may be watched; `until` null means for ever. The same item as on `billing.entitlements`."""

    resource: str
    until: datetime | None
    reason: str
