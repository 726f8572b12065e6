"""Subscriptions as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from domain.subscriptions.state import PlannedChange, SubscriptionStatus
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
from projections.subscription_columns import changed

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
    values, noted = changed(event.key, data)
    change = Change(
        model=MODEL,
        key=(data.subscription_id,),
        values=values,
        creates=isinstance(data, SubscriptionStarted),
        entity=data.subscription_id,
        noted=noted,
    )
    return (change,)


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
    return await list_all(connection, account=account, limit=limit, cursor=cursor)


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
