"""Subscriptions as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, case, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.calendar import Period, PeriodUnit
from domain.money import Money
from domain.subscriptions.events import (
    AccessBlocked,
    PlanChanged,
    PlanChangeDropped,
    PlanChangeScheduled,
    RenewalAttempted,
    RenewalAuthenticationRequired,
    RenewalFailed,
    SubscriptionCancelled,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionEvent,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionResumed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from domain.subscriptions.state import Plan, PlannedChange, SubscriptionStatus
from projections.model import (
    Change,
    HistoryEntry,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    utc,
    utc_or_none,
)
from projections.paging import Page, read_one, read_page
from projections.products import terms_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.policies.terms import Terms
    from schemas.envelope import EventRecord

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("product_id", Text, nullable=False),
    Column("price_id", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period_count", Integer, nullable=False),
    Column("period_unit", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_past_due", Boolean, nullable=False),
    Column("renewal_failure", Text),
    Column("auto_renew", Boolean, nullable=False),
    Column("anchor", Moment, nullable=False),
    Column("units", Integer, nullable=False),
    Column("period_start", Moment, nullable=False),
    Column("period_end", Moment, nullable=False),
    Column("access_end", Moment, nullable=False),
    Column("renew_at", Moment),
    Column("paid", JSONB, nullable=False),
    Column("is_trial", Boolean, nullable=False),
    Column("paused_at", Moment),
    Column("resume_by", Moment),
    Column("planned", JSONB),
    Column("terms", JSONB),
    Column("ended_at", Moment),
    Column("updated_at", Moment, nullable=False),
)
Index(
    "subscriptions_account_anchor_idx",
    subscriptions.c.account,
    subscriptions.c.anchor.desc(),
    subscriptions.c.id.desc(),
)
Index("subscriptions_price_id_idx", subscriptions.c.price_id, subscriptions.c.id)

MODEL = ReadModel(table=subscriptions, history=history_table("subscriptions"))
HEARS = (
    SubscriptionStarted,
    SubscriptionRenewed,
    RenewalAttempted,
    RenewalFailed,
    RenewalAuthenticationRequired,
    SubscriptionCancelled,
    SubscriptionResumed,
    SubscriptionExtended,
    SubscriptionShortened,
    SubscriptionRestored,
    PlanChangeScheduled,
    PlanChangeDropped,
    PlanChanged,
    SubscriptionPaused,
    SubscriptionContinued,
    SubscriptionGraceStarted,
    SubscriptionEnded,
    AccessBlocked,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """A subscription. `price` is that of one `period`; `period_end` is the end of all that was paid or given.

    `access_end` is the end of access if nothing more is paid, `renew_at` when it is next tried to renew it, and
    `renewal_failure` why the last try brought no money. `units` of the period were given since the `anchor`, by which
    later ends are counted; `planned` is another plan that begins with a later period. `terms` are what was agreed about
    grace, refunds and renewals.
    """

    id: str
    account: str
    order_id: str
    product_id: str
    price_id: str
    price: Money
    period: Period
    resource: str
    title: str
    status: str
    renewal_failure: str | None
    auto_renew: bool
    anchor: datetime
    units: int
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
    paused_at: datetime | None
    resume_by: datetime | None
    planned: PlannedChange | None
    terms: Terms | None
    ended_at: datetime | None
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: SubscriptionEvent = event.data
    if isinstance(data, SubscriptionStarted):
        return (_change(data.subscription_id, _started(event.key, data), creates=True),)
    values, noted = _changed(data)
    change = Change(model=MODEL, key=(data.subscription_id,), values=values, entity=data.subscription_id, noted=noted)
    return (change,)


def _changed(data: SubscriptionEvent) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the columns that the event sets, and what its line in the history says where that is something else."""
    values: dict[str, Any]
    match data:
        case SubscriptionStarted():
            return {}, None
        case SubscriptionRenewed():
            running = {"anchor": data.anchor, "units": data.units, "period_start": data.period_start}
            return {
                **running,
                "auto_renew": data.auto_renew,
                "is_trial": False,
                "paid": data.paid,
                "terms": data.terms,
                **_running(data),
            }, None
        case RenewalAttempted():
            values = {"renew_at": None}
            return values, {**values, "attempt": data.attempt, "payment_id": data.payment_id}
        case RenewalFailed():
            values = {**_UNPAID, "renewal_failure": data.reason, "renew_at": data.retry_at}
            return values, {**values, "attempt": data.attempt, "hard": data.hard}
        case RenewalAuthenticationRequired():
            return {**_UNPAID, "renewal_failure": "authentication_required"}, None
        case SubscriptionCancelled():
            return {"auto_renew": False, "access_end": data.access_end, "renew_at": None}, None
        case SubscriptionResumed():
            return {"auto_renew": True, "access_end": data.access_end, "renew_at": data.renew_at}, None
        case SubscriptionExtended():
            values = {"anchor": data.anchor, "units": 0, **_running(data)}
            return values, {**values, "days": data.days, "reason": data.reason}
        case SubscriptionShortened():
            return _shortened(data), None
        case SubscriptionRestored():
            again = {"anchor": data.anchor, "units": 0, "period_start": data.period_start, "paid": data.paid}
            return {**again, **_running(data)}, None
        case PlanChangeScheduled() | PlanChangeDropped() | PlanChanged():
            return _planned(data), None
        case SubscriptionPaused():
            return {"paused_at": data.paused_at, "resume_by": data.resume_by, "renew_at": None}, None
        case SubscriptionContinued():
            moved = {"anchor": data.anchor, "units": 0, "period_start": data.period_start, "paid": data.paid}
            return {**moved, "paused_at": None, "resume_by": None, **_running(data)}, None
        case SubscriptionGraceStarted():
            return {"status": SubscriptionStatus.GRACE, "is_trial": False, "access_end": data.access_end}, None
        case SubscriptionEnded():
            return {"ended_at": data.ended_at, **_ENDED}, None
        case AccessBlocked():
            return {}, {"blocked": data.resource}
        case _:
            assert_never(data)


_UNPAID = {"is_past_due": True, "is_trial": False}
_ENDED = {
    "status": SubscriptionStatus.ENDED,
    "is_trial": False,
    "auto_renew": False,
    "renew_at": None,
    "paused_at": None,
    "resume_by": None,
    "planned": None,
    "paid": (),
}


def _planned(data: PlanChangeScheduled | PlanChangeDropped | PlanChanged) -> dict[str, Any]:
    if isinstance(data, PlanChanged):
        return {"order_id": data.order_id, "planned": None, **_plan(data.plan)}
    planned = data.change if isinstance(data, PlanChangeScheduled) else None
    return {"planned": planned, "renew_at": data.renew_at}


def _plan(plan: Plan | SubscriptionStarted) -> dict[str, Any]:
    return {
        "product_id": plan.product_id,
        "price_id": plan.price_id,
        "amount": plan.price.amount,
        "currency": plan.price.currency,
        "period_count": plan.period.count,
        "period_unit": plan.period.unit,
        "resource": plan.resource,
        "title": plan.title,
    }


def _running(
    data: SubscriptionRenewed | SubscriptionExtended | SubscriptionContinued | SubscriptionRestored,
) -> dict[str, Any]:
    return {
        "status": SubscriptionStatus.ACTIVE,
        "is_past_due": False,
        "renewal_failure": None,
        "period_end": data.period_end,
        "access_end": data.access_end,
        "renew_at": data.renew_at,
        "ended_at": None,
    }


def _shortened(data: SubscriptionShortened) -> dict[str, Any]:
    values = {
        "status": SubscriptionStatus.ACTIVE,
        "is_past_due": False,
        "renewal_failure": None,
        "anchor": data.anchor,
        "paid": data.paid,
        "units": data.units,
        "period_end": data.period_end,
        "access_end": data.period_end,
        "auto_renew": False,
        "renew_at": None,
    }
    return {**values, "period_start": data.paid[-1].start} if data.paid else values


def _change(subscription_id: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(subscription_id,), values=values, creates=creates, entity=subscription_id)


def _started(account: str, started: SubscriptionStarted) -> dict[str, Any]:
    return {
        "account": account,
        "order_id": started.order_id,
        **_plan(started),
        "is_past_due": False,
        "is_trial": started.is_trial,
        "paused_at": None,
        "resume_by": None,
        "planned": None,
        "renewal_failure": None,
        "status": SubscriptionStatus.ACTIVE,
        "auto_renew": started.auto_renew,
        "anchor": started.period_end if started.is_trial else started.period_start,
        "units": 0 if started.is_trial else started.periods * started.period.count,
        "period_start": started.period_start,
        "period_end": started.period_end,
        "access_end": started.access_end,
        "renew_at": started.renew_at,
        "paid": started.paid,
        "terms": started.terms,
        "ended_at": None,
    }


async def get(connection: AsyncConnection, account: str, subscription_id: str) -> SubscriptionView | None:
    """Return the subscription, or None where the account has no such subscription."""
    where = {subscriptions.c.account: account, subscriptions.c.id: subscription_id}
    return await read_one(connection, select(subscriptions), where, _view)


async def current(connection: AsyncConnection, account: str) -> SubscriptionView | None:
    """Return the running subscription that ends last, or None where none runs."""
    statement = (
        select(subscriptions)
        .where(subscriptions.c.status != SubscriptionStatus.ENDED)
        .order_by(subscriptions.c.period_end.desc(), subscriptions.c.id.desc())
        .limit(1)
    )
    return await read_one(connection, statement, {subscriptions.c.account: account}, _view)


async def list_page(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> Page[SubscriptionView]:
    """Return the account's subscriptions, the latest begun first. Raises CursorInvalidError."""
    where, sort = {subscriptions.c.account: account}, (subscriptions.c.anchor, subscriptions.c.id)
    return await read_page(connection, select(subscriptions), where, sort, _view, limit=limit, cursor=cursor)


async def find(connection: AsyncConnection, subscription_id: str) -> SubscriptionView | None:
    """Return the subscription of whichever account: for managers alone."""
    return await read_one(connection, select(subscriptions), {subscriptions.c.id: subscription_id}, _view)


async def list_all(
    connection: AsyncConnection,
    *,
    account: str | None = None,
    status: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[SubscriptionView]:
    """Return subscriptions of one account, or of all accounts for managers, the latest begun first.

    Raises CursorInvalidError.
    """
    statement = select(subscriptions) if status is None else select(subscriptions).where(_shown_as(status))
    where, sort = {subscriptions.c.account: account}, (subscriptions.c.anchor, subscriptions.c.id)
    return await read_page(connection, statement, where, sort, _view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, subscription_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the subscription, oldest first."""
    return await read_history(connection, MODEL, account, subscription_id)


def _view(row: Any) -> SubscriptionView:
    return SubscriptionView(
        id=row.id,
        account=row.account,
        order_id=row.order_id,
        product_id=row.product_id,
        price_id=row.price_id,
        price=Money(amount=row.amount, currency=row.currency),
        period=Period(count=row.period_count, unit=PeriodUnit(row.period_unit)),
        resource=row.resource,
        title=row.title,
        status=shown_status(row),
        renewal_failure=row.renewal_failure,
        auto_renew=row.auto_renew,
        anchor=utc(row.anchor),
        units=row.units,
        period_start=utc(row.period_start),
        period_end=utc(row.period_end),
        access_end=utc(row.access_end),
        renew_at=utc_or_none(row.renew_at),
        paused_at=utc_or_none(row.paused_at),
        resume_by=utc_or_none(row.resume_by),
        planned=None if row.planned is None else msgspec.convert(row.planned, PlannedChange),
        terms=terms_of(row.terms),
        ended_at=utc_or_none(row.ended_at),
        updated_at=utc(row.updated_at),
    )


def _shown_as(status: str) -> ColumnElement[bool]:
    """The rows that `shown_status` calls so."""
    columns = subscriptions.c
    shown = case(
        (columns.status != SubscriptionStatus.ACTIVE, columns.status),
        (columns.paused_at.is_not(None), SubscriptionStatus.PAUSED),
        (columns.is_past_due, SubscriptionStatus.PAST_DUE),
        (columns.is_trial, SubscriptionStatus.TRIALING),
        else_=columns.status,
    )
    return shown == status


def shown_status(row: Any) -> str:
    """Return the status that the outside sees: a pause, a declined renewal and a trial show while a period runs."""
    status: str = row.status
    if status != SubscriptionStatus.ACTIVE:
        return status
    if row.paused_at is not None:
        return SubscriptionStatus.PAUSED
    if row.is_past_due:
        return SubscriptionStatus.PAST_DUE
    return SubscriptionStatus.TRIALING if row.is_trial else status
