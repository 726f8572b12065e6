"""What became of a command, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.http.fields import AnswerModel, ProblemAnswer


class PendingAnswer(AnswerModel):
    """The command is in the log and will be decided; its address tells the outcome."""

    id: str
    status: Literal["pending"] = "pending"


class CommandAnswer(AnswerModel):
    """A command: pending, accepted with the ids of what it concerns, or rejected with its problem."""

    id: str
    type: str
    status: str
    resources: dict[str, str]
    position: str | None
    """`<partition>:<offset>` of the outcome in the log: the value of `Billing-Position`."""
    problem: ProblemAnswer | None
    received_at: datetime | None
    decided_at: datetime | None
