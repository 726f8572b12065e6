"""What people who look after the system see and do over HTTP."""

from __future__ import annotations

from datetime import datetime

from schemas.http.fields import AnswerModel, PageAnswer


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

    `unknown` names what could not be looked at, or not at all of it: `broker`, `dead_letters`.
    """

    now: datetime
    counts: dict[str, int]
    items: tuple[OverdueItem, ...]
    unknown: tuple[str, ...]


class DeadLetterAnswer(AnswerModel):
    """A record that a role could not take, without its content, which lies whole on the topic of dead letters.

    `id` is `<partition>:<offset>` there; `topic` and `position` say where the record came from.
    """

    id: str
    at: datetime
    role: str
    topic: str
    position: str
    reason: str


class UnreadAnswer(AnswerModel):
    """Offsets on the topic of dead letters, `end` not among them, that were not looked at."""

    partition: int
    begin: int
    end: int


class DeadLettersAnswer(PageAnswer[DeadLetterAnswer]):
    """Some dead letters, the newest first.

    `complete` tells whether all that are kept were looked at. Where they are too many, or the broker too slow, it is
    false, and `unread` says where more may lie.
    """

    complete: bool
    unread: tuple[UnreadAnswer, ...]


class ProviderHealthAnswer(AnswerModel):
    """How a payment provider answers: its calls without an answer that settles them, and of those the repeated ones
    and the ones past their deadline. `answers` is false where there are any of the last kind.
    """

    id: str
    answers: bool
    calls: int
    repeated: int
    late: int
    since: datetime | None


class ResumedAnswer(AnswerModel):
    """What was gone on with; `next_at` is when the engine goes on with it by itself, absent where nothing waits."""

    id: str
    noun: str
    subject: str
    account: str
    next_at: datetime | None


class ExplanationStep(AnswerModel):
    """One sentence of an explanation, with the event that it rests on.

    `kind` is `request`, `timer`, `answer`, `agreement`, `price`, `discount`, `call`, `event` or `refusal`; `effect_id`
    is the idempotency key of a call.
    """

    kind: str
    at: datetime
    text: str
    actor: str
    event_id: str
    event_type: str
    command_id: str
    correlation_id: str
    position: str
    effect_id: str | None


class ExplanationAnswer(AnswerModel):
    """Why there is a payment, order or refund, or why a command was refused: the chain, the request first."""

    account: str
    noun: str
    subject: str
    steps: tuple[ExplanationStep, ...]
