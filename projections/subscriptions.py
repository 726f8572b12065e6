"""Subscriptions as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.calendar import Period, PeriodUnit
from domain.money import Money
from domain.subscriptions.events import (
    AccessBlocked,
    RenewalAttempted,
    RenewalAuthenticationRequired,
    RenewalFailed,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionEvent,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionResumed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from domain.subscriptions.state import SubscriptionStatus
from projections.model import (
    Change,
    HistoryEntry,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    storable,
    utc,
    utc_or_none,
)
from projections.paging import Page, checked_limit, decode_cursor, newest_first, page_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

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
    Column("period_start", Moment, nullable=False),
    Column("period_end", Moment, nullable=False),
    Column("access_end", Moment, nullable=False),
    Column("renew_at", Moment),
    Column("paid", JSONB, nullable=False),
    Column("ended_at", Moment),
    Column("updated_at", Moment, nullable=False),
)
Index(
    "subscriptions_account_anchor_idx",
    subscriptions.c.account,
    subscriptions.c.anchor.desc(),
    subscriptions.c.id.desc(),
)

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
    SubscriptionGraceStarted,
    SubscriptionEnded,
    AccessBlocked,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """A subscription. `price` is that of one `period`; `period_end` is the end of all that was paid or given.

    `access_end` is the end of access if nothing more is paid, `renew_at` when it is next tried to renew it, and
    `renewal_failure` why the last try brought no money.
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
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
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
            running = {
                "anchor": data.anchor,
                "period_start": data.period_start,
                "auto_renew": data.auto_renew,
                "paid": data.paid,
            }
            return {**running, **_running(data)}, None
        case RenewalAttempted():
            values = {"renew_at": None}
            return values, {**values, "attempt": data.attempt, "payment_id": data.payment_id}
        case RenewalFailed():
            values = {"is_past_due": True, "renewal_failure": data.reason, "renew_at": data.retry_at}
            return values, {**values, "attempt": data.attempt, "hard": data.hard}
        case RenewalAuthenticationRequired():
            return {"is_past_due": True, "renewal_failure": "authentication_required"}, None
        case SubscriptionCancelled():
            return {"auto_renew": False, "access_end": data.access_end, "renew_at": None}, None
        case SubscriptionResumed():
            return {"auto_renew": True, "access_end": data.access_end, "renew_at": data.renew_at}, None
        case SubscriptionExtended():
            values = {"anchor": data.anchor, **_running(data)}
            return values, {**values, "days": data.days, "reason": data.reason}
        case SubscriptionShortened():
            return _shortened(data), None
        case SubscriptionRestored():
            again = {"anchor": data.anchor, "period_start": data.period_start, "paid": data.paid}
            return {**again, **_running(data)}, None
        case SubscriptionGraceStarted():
            return {"status": SubscriptionStatus.GRACE, "access_end": data.access_end}, None
        case SubscriptionEnded():
            ended = {"status": SubscriptionStatus.ENDED, "ended_at": data.ended_at}
            return {**ended, "auto_renew": False, "renew_at": None}, None
        case AccessBlocked():
            return {}, {"blocked": data.resource}
        case _:
            assert_never(data)


def _running(data: SubscriptionRenewed | SubscriptionExtended | SubscriptionRestored) -> dict[str, Any]:
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
        "product_id": started.product_id,
        "price_id": started.price_id,
        "amount": started.price.amount,
        "currency": started.price.currency,
        "period_count": started.period.count,
        "period_unit": started.period.unit,
        "resource": started.resource,
        "title": started.title,
        "is_past_due": False,
        "renewal_failure": None,
        "status": SubscriptionStatus.ACTIVE,
        "auto_renew": started.auto_renew,
        "anchor": started.period_start,
        "period_start": started.period_start,
        "period_end": started.period_end,
        "access_end": started.access_end,
        "renew_at": started.renew_at,
        "paid": started.paid,
        "ended_at": None,
    }


async def get(connection: AsyncConnection, account: str, subscription_id: str) -> SubscriptionView | None:
    """Return the subscription, or None where the account has no such subscription."""
    if not storable(account, subscription_id):
        return None
    statement = select(subscriptions).where(subscriptions.c.account == account, subscriptions.c.id == subscription_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _view(row)


async def current(connection: AsyncConnection, account: str) -> SubscriptionView | None:
    """Return the running subscription that ends last, or None where none runs."""
    if not storable(account):
        return None
    statement = (
        select(subscriptions)
        .where(subscriptions.c.account == account, subscriptions.c.status != SubscriptionStatus.ENDED)
        .order_by(subscriptions.c.period_end.desc(), subscriptions.c.id.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _view(row)


async def list_page(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> Page[SubscriptionView]:
    """Return the account's subscriptions, the latest begun first. Raises CursorInvalidError."""
    if not storable(account):
        return Page(items=(), next_cursor=None)
    after = None if cursor is None else decode_cursor(cursor, tuple[datetime, str])
    statement = select(subscriptions).where(subscriptions.c.account == account)
    sort = (subscriptions.c.anchor, subscriptions.c.id)
    statement = newest_first(statement, sort, after).limit(checked_limit(limit) + 1)
    rows = (await connection.execute(statement)).all()
    return page_of(rows, limit, _view, lambda row: (row.anchor, row.id))


async def history(connection: AsyncConnection, account: str, subscription_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the subscription, oldest first."""
    assert MODEL.history is not None
    return await read_history(connection, MODEL.history, account, subscription_id)


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
        status=shown_status(row.status, is_past_due=row.is_past_due),
        renewal_failure=row.renewal_failure,
        auto_renew=row.auto_renew,
        anchor=utc(row.anchor),
        period_start=utc(row.period_start),
        period_end=utc(row.period_end),
        access_end=utc(row.access_end),
        renew_at=utc_or_none(row.renew_at),
        ended_at=utc_or_none(row.ended_at),
        updated_at=utc(row.updated_at),
    )


def shown_status(status: str, *, is_past_due: bool) -> str:
    """Return the status that the outside sees: a declined renewal shows until the period ends, then the grace does."""
    return SubscriptionStatus.PAST_DUE if is_past_due and status == SubscriptionStatus.ACTIVE else status
