"""What people who look after the system see and do over HTTP."""

from __future__ import annotations

from datetime import datetime

from schemas.http.fields import AnswerModel


class OverdueItem(AnswerModel):
    """One thing that waits past its deadline, with its age and its cause.

    `resume` is the address to post to, so that it goes on; absent where only a person or a started worker helps.
    """

    id: str
    kind: str
    account: str | None
    noun: str
    subject: str
    since: datetime
    deadline: datetime
    age_seconds: int
    attempts: int | None
    next_at: datetime | None
    cause: str
    resume: str | None


class OverdueAnswer(AnswerModel):
    """All that waits too long by the business's clock, the longest first; `counts` has all of them by kind.

    `unknown` names what could not be looked at, such as `broker`.
    """

    now: datetime
    counts: dict[str, int]
    items: tuple[OverdueItem, ...]
    unknown: tuple[str, ...]


class ResumedAnswer(AnswerModel):
    """What was gone on with; `next_at` is when the engine goes on with it by itself, absent where nothing waits."""

    id: str
    noun: str
    subject: str
    account: str
    next_at: datetime | None
