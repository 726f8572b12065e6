"""What waits past its deadline, each with its age and its cause in a sentence: nothing may be stuck unseen.

Nothing here reads a clock: `now` is an argument. How long each kind of waiting may last is `Patience`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import String, case, func, literal, null, select, union_all

from projections.commands import PENDING, commands
from projections.deadlines import MOMENTS, ORDER, PAYMENT, REFUND, RELEASE, SUBSCRIPTION, deadlines
from projections.model import Moment, storable, utc, utc_or_none

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from infra.kafka.standing import Standing

ITEMS_MAX = 500


class OverdueKind(StrEnum):
    """What is waited for."""

    PROVIDER_CALL = "provider_call"
    """A provider has not answered."""
    PROMO_RESERVATION = "promo_reservation"
    """A promo code has not said whether a use is left, or that it took one back."""
    SILENT_PAYMENT = "silent_payment"
    """A provider collects a payment, and does not say how it ended."""
    SILENT_REFUND = "silent_refund"
    """A provider works on a refund, and does not say how it ended."""
    RENEWAL = "renewal"
    """A renewal is due and was not tried."""
    TIMER = "timer"
    """Something else is due, and the engine has not done it."""
    COMMAND = "command"
    """A command is in the log of commands and has no outcome."""
    CONSUMER = "consumer"
    """The workers of a role are behind what they read."""
    DEAD_LETTERS = "dead_letters"
    """Records that a role could not take; people have to look at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each kind of waiting is in order."""

    answer: timedelta = timedelta(minutes=10)
    """A call to a provider or a promo code, from the first time that it was made, repeats included."""
    payment: timedelta = timedelta(hours=1)
    """The provider collects, and says nothing."""
    refund: timedelta = timedelta(days=3)
    """The provider works on a refund: banks take their time."""
    timer: timedelta = timedelta(minutes=2)
    """From the moment at which something is due to that at which the engine has done it."""
    renewal: timedelta = timedelta(hours=1)
    """The same for renewals: where many are due at once, they wait for each other."""
    command: timedelta = timedelta(minutes=1)
    """From the moment at which a command was sent to its outcome."""
    consumer: timedelta = timedelta(minutes=1)
    """From the moment at which a record was written to that at which its reader has taken it."""
    letters: timedelta = timedelta(days=1)
    """For so long dead letters are on the list; then they are only on their topic."""


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueView:
    """One thing that waits too long. The same `id` may be there for several reasons; it is resumed as a whole."""

    id: str
    kind: OverdueKind
    account: str | None
    noun: str
    """payment, refund, subscription, order, entitlement or command; for what is nobody's alone: role."""
    subject: str
    """Its id; for an entitlement the resource."""
    since: datetime
    """When the waiting began."""
    deadline: datetime
    """When it should have been over."""
    attempts: int | None
    next_at: datetime | None
    """When the engine goes on with it by itself."""
    cause: str

    @property
    def is_resumable(self) -> bool:
        """Whether it can be gone on with by one call: not where a worker is to be started, or a person has to look."""
        return self.account is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStanding:
    """Calls to a provider that have no answer that settles them."""

    calls: int = 0
    repeated: int = 0
    """Of them, those that had to be made again."""
    late: int = 0
    """Of them, those that wait past their deadline."""
    since: datetime | None = None
    """When the oldest of them was made first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One thing that has ever waited, whether it waits now or not."""

    id: str
    account: str
    noun: str
    subject: str
    next_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCommand:
    """A command that has no outcome yet, and where on its topic it stands."""

    id: str
    account: str
    offset: int | None


async def count(connection: AsyncConnection, now: datetime, patience: Patience = PATIENCE) -> dict[OverdueKind, int]:
    """Return how many wait too long, by kind; kinds of which there is none are absent."""
    found = _everything(now, patience).subquery()
    rows = await connection.execute(select(found.c.kind, func.count()).group_by(found.c.kind))
    return {OverdueKind(kind): number for kind, number in rows}


async def list_oldest(
    connection: AsyncConnection, now: datetime, *, limit: int = 100, patience: Patience = PATIENCE
) -> tuple[OverdueView, ...]:
    """Return what waits too long, the longest first; at most ITEMS_MAX."""
    found = _everything(now, patience).subquery()
    statement = select(found).order_by(found.c.deadline, found.c.id, found.c.kind).limit(min(limit, ITEMS_MAX))
    return tuple(_view(row) for row in await connection.execute(statement))


async def provider_standings(
    connection: AsyncConnection, now: datetime, patience: Patience = PATIENCE
) -> dict[str, ProviderStanding]:
    """Return how each provider stands that somebody waits for, by its name."""
    rows = deadlines.c
    is_late = rows.asked_at <= now - patience.answer
    statement = (
        select(
            rows.asked,
            func.count(rows.asked_at).label("calls"),
            func.count(rows.asked_at).filter(rows.attempt > 1).label("repeated"),
            func.count(rows.asked_at).filter(is_late).label("late"),
            func.min(rows.asked_at).label("since"),
        )
        .where(rows.noun.in_((PAYMENT, REFUND)), rows.asked_at.is_not(None), _anything() <= now)
        .group_by(rows.asked)
    )
    return {
        row.asked: ProviderStanding(calls=row.calls, repeated=row.repeated, late=row.late, since=utc(row.since))
        for row in await connection.execute(statement)
    }


async def get_waiting(connection: AsyncConnection, waiting_id: str) -> Waiting | None:
    """Return the thing of this id, or None where nothing of this id ever waited."""
    if not storable(waiting_id):
        return None
    row = (await connection.execute(select(deadlines).where(deadlines.c.id == waiting_id))).one_or_none()
    if row is None:
        return None
    moments = [moment for moment in (row.repeat_at, row.look_at, row.end_at, row.paused_until) if moment is not None]
    return Waiting(
        id=row.id,
        account=row.account,
        noun=row.noun,
        subject=row.subject,
        next_at=utc_or_none(min(moments, default=None)),
        updated_at=utc(row.updated_at),
    )


async def get_pending_command(connection: AsyncConnection, command_id: str) -> PendingCommand | None:
    """Return the command where it has no outcome, or None."""
    if not storable(command_id):
        return None
    statement = select(commands).where(commands.c.id == command_id, commands.c.status == PENDING)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else PendingCommand(id=row.id, account=row.account, offset=row.received_offset)


def of_standing(standing: Standing, now: datetime, patience: Patience = PATIENCE) -> tuple[OverdueView, ...]:
    """Return what the broker knows to be late: roles that are behind, and dead letters by role, the newest cause told.

    Ages are by the broker's clock, and shown as if `now` were its time: the business's clock may have been moved.
    """
    items = []
    for group in standing.groups:
        if group.waits_for is not None and group.waits_for >= patience.consumer:
            cause = f"{group.behind} records of {group.topic} wait for the {group.role}: none runs, or too few."
            since = now - group.waits_for
            items.append(_role_item(OverdueKind.CONSUMER, group.role, since, since + patience.consumer, cause))
    seen, unread = standing.letters
    at_least = "at least " if unread else ""
    for role in sorted({letter.role for letter in seen}):
        letters = [letter for letter in seen if letter.role == role]
        oldest, newest = letters[0], letters[-1]
        what = at_least + ("1 record" if len(letters) == 1 else f"{len(letters)} records")
        cause = f"The {role} could not take {what}; the newest is {newest.topic} {newest.position}: {newest.reason}."
        items.append(_role_item(OverdueKind.DEAD_LETTERS, role, oldest.at, oldest.at, cause))
    if unread and not seen:
        cause = "What lies in the dead letters could not be read in time."
        items.append(_role_item(OverdueKind.DEAD_LETTERS, "unread", now, now, cause))
    return tuple(items)


def _role_item(kind: OverdueKind, role: str, since: datetime, deadline: datetime, cause: str) -> OverdueView:
    return OverdueView(
        id=f"{kind}-{role}",
        kind=kind,
        account=None,
        noun="role",
        subject=role,
        since=since,
        deadline=deadline,
        attempts=None,
        next_at=None,
        cause=cause,
    )


def _everything(now: datetime, patience: Patience) -> Any:
    """Each kind of waiting as one query; the index of what is next keeps them to what waits at all."""
    rows = deadlines.c
    is_promo = rows.noun == ORDER
    asked = case((is_promo, literal(OverdueKind.PROMO_RESERVATION)), else_=literal(OverdueKind.PROVIDER_CALL))
    silent = case((rows.noun == PAYMENT, literal(OverdueKind.SILENT_PAYMENT)), else_=OverdueKind.SILENT_REFUND)
    timer, renewal = literal(OverdueKind.TIMER), literal(OverdueKind.RENEWAL)
    is_payment, is_refund = rows.noun == PAYMENT, rows.noun == REFUND
    return union_all(
        _waiting(asked, rows.asked_at, patience.answer, now),
        _waiting(silent, rows.silent_since, patience.payment, now).where(is_payment, rows.look_at.is_not(None)),
        _waiting(silent, rows.silent_since, patience.refund, now).where(is_refund, rows.look_at.is_not(None)),
        _waiting(timer, rows.repeat_at, patience.timer, now),
        _waiting(timer, rows.look_at, patience.timer, now).where(rows.noun != SUBSCRIPTION),
        _waiting(renewal, rows.look_at, patience.renewal, now).where(rows.noun == SUBSCRIPTION),
        # The end of what is paid does not come while it is paused.
        _waiting(timer, rows.end_at, patience.timer, now).where(rows.paused_until.is_(None)),
        _waiting(timer, rows.paused_until, patience.timer, now),
        _pending_commands(patience.command, now),
    )


def _waiting(
    kind: ColumnElement[Any], since: ColumnElement[Any], patience: timedelta, now: datetime
) -> Select[tuple[Any, ...]]:
    rows = deadlines.c
    next_at = func.least(rows.repeat_at, rows.look_at, rows.end_at, rows.paused_until)
    return select(
        rows.id,
        kind.cast(String).label("kind"),
        rows.account,
        rows.noun,
        rows.subject,
        rows.asked,
        rows.call,
        rows.attempt,
        since.label("since"),
        (since + patience).label("deadline"),
        next_at.label("next_at"),
        literal(since.name).label("what"),
    ).where(since <= now - patience, _anything() <= now - patience)


def _anything() -> ColumnElement[Any]:
    """The first moment of a row, which is indexed: it finds what waits at all."""
    return func.least(*(deadlines.c[name] for name in MOMENTS))


def _pending_commands(patience: timedelta, now: datetime) -> Select[tuple[Any, ...]]:
    return select(
        commands.c.id,
        literal(OverdueKind.COMMAND).cast(String).label("kind"),
        commands.c.account,
        literal("command").label("noun"),
        commands.c.id.label("subject"),
        null().cast(String).label("asked"),
        commands.c.type.label("call"),
        null().label("attempt"),
        commands.c.received_at.label("since"),
        (commands.c.received_at + patience).label("deadline"),
        null().cast(Moment).label("next_at"),
        literal("received_at").label("what"),
    ).where(commands.c.status == PENDING, commands.c.received_at <= now - patience)


def _view(row: Any) -> OverdueView:
    return OverdueView(
        id=row.id,
        kind=OverdueKind(row.kind),
        account=row.account,
        noun=row.noun,
        subject=row.subject,
        since=utc(row.since),
        deadline=utc(row.deadline),
        attempts=row.attempt,
        next_at=utc_or_none(row.next_at),
        cause=_cause(row),
    )


_CALLS = {
    "create_checkout": "to open the page for {thing}",
    "charge": "to charge the saved means of payment for {thing}",
    "fetch": "how {thing} stands",
    "close_checkout": "to make {thing} unpayable",
    "refund": "to give the money of {thing} back",
    "reserve_promo_code": "for a use for {thing}",
    RELEASE: "to take the use of {thing} back",
}
_NO_ENGINE = "the engine has not done it: no worker owns the account's partition, or it is behind"


def _cause(row: Any) -> str:
    """Say in one sentence what is waited for."""
    thing, kind = f"{row.noun} {row.subject}", OverdueKind(row.kind)
    since = f"{utc(row.since):%Y-%m-%d %H:%M:%S} UTC"
    times = f"{row.attempt} time{'' if row.attempt == 1 else 's'}"
    call = _CALLS.get(row.call or "", "about {thing}").format(thing=thing)
    match kind:
        case OverdueKind.PROVIDER_CALL:
            return f"{row.asked} was asked {call} {times} since {since} and has not given an answer that settles it."
        case OverdueKind.PROMO_RESERVATION:
            return f"The promo code {row.asked} was asked {call} {times} since {since} and has not answered."
        case OverdueKind.SILENT_PAYMENT:
            return f"{row.asked} has been collecting {thing} since {since} and does not say how it ended."
        case OverdueKind.SILENT_REFUND:
            return f"{row.asked} has been working on {thing} since {since} and does not say how it ended."
        case OverdueKind.RENEWAL:
            why = f"{_NO_ENGINE}, or too many are due at once"
            return f"The renewal of {thing} has been due since {since} and was not tried: {why}."
        case OverdueKind.COMMAND:
            return f"{row.call} of {row.account} was sent at {since} and has no outcome: {_NO_ENGINE}."
        case OverdueKind.TIMER:
            due = _TIMERS[row.what].format(asked=row.asked, thing=thing, call=call)
            return f"{due} since {since}, and {_NO_ENGINE}."
        case OverdueKind.CONSUMER | OverdueKind.DEAD_LETTERS:
            raise AssertionError(f"{kind} is nothing that the database knows")
        case _:
            assert_never(kind)


_TIMERS = {
    "repeat_at": "Asking {asked} again {call} has been due",
    "look_at": "Asking {asked}, who is silent about {thing}, has been due",
    "end_at": "The end of {thing} has been due",
    "paused_until": "The end of the pause of {thing} has been due",
}
