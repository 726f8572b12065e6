"""Disputes over HTTP, for managers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from schemas.http.fields import AnswerModel, MoneyAnswer


class DisputeAnswer(AnswerModel):
    """A dispute of one payment. `reference` is the provider's name of it, `access` the policy for what was bought."""

    id: str
    account: str
    payment_id: str
    order_id: str
    provider: str
    reference: str
    status: str
    is_inquiry: bool
    amount: MoneyAnswer
    reason: str
    access: str
    evidence_due_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None


class ChangeAnswer(AnswerModel):
    """One change: which event made it, by which command of whom, and what it set."""

    event_id: str
    event_type: str
    at: datetime
    actor: str
    command_id: str
    changes: dict[str, Any]


class DisputeDetailAnswer(DisputeAnswer):
    """A dispute with everything that happened to it, oldest first."""

    history: tuple[ChangeAnswer, ...]
