"""Subscriptions as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, select

from domain.calendar import Period, PeriodUnit
from domain.money import Money
from domain.subscriptions.events import SubscriptionEnded, SubscriptionEvent, SubscriptionStarted
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
    Column("status", Text, nullable=False),
    Column("auto_renew", Boolean, nullable=False),
    Column("anchor", Moment, nullable=False),
    Column("period_start", Moment, nullable=False),
    Column("period_end", Moment, nullable=False),
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
HEARS = (SubscriptionStarted, SubscriptionEnded)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """A subscription and its present period. `price` is that of one unit, `period` the whole period that was paid."""

    id: str
    account: str
    order_id: str
    product_id: str
    price_id: str
    price: Money
    period: Period
    resource: str
    status: str
    auto_renew: bool
    anchor: datetime
    period_start: datetime
    period_end: datetime
    ended_at: datetime | None
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: SubscriptionEvent = event.data
    match data:
        case SubscriptionStarted():
            return (_change(data.subscription_id, _started(event.key, data), creates=True),)
        case SubscriptionEnded():
            return (_change(data.subscription_id, {"status": SubscriptionStatus.ENDED, "ended_at": data.ended_at}),)
        case _:
            assert_never(data)


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
        "status": SubscriptionStatus.ACTIVE,
        "auto_renew": started.auto_renew,
        "anchor": started.period_start,
        "period_start": started.period_start,
        "period_end": started.period_end,
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
        .where(subscriptions.c.account == account, subscriptions.c.status == SubscriptionStatus.ACTIVE)
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
        status=row.status,
        auto_renew=row.auto_renew,
        anchor=utc(row.anchor),
        period_start=utc(row.period_start),
        period_end=utc(row.period_end),
        ended_at=utc_or_none(row.ended_at),
        updated_at=utc(row.updated_at),
    )
