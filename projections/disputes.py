"""Disputes as managers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, select

from domain.disputes.events import (
    DisputeClosed,
    DisputeEvent,
    DisputeLost,
    DisputeOpened,
    DisputeUpdated,
    DisputeWon,
)
from domain.disputes.state import OPEN_STATUSES, DisputeStatus
from domain.money import Money
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

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

disputes = Table(
    "disputes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_inquiry", Boolean, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("access", Text, nullable=False),
    Column("evidence_due_at", Moment),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("updated_at", Moment, nullable=False),
)
Index("disputes_opened_at_idx", disputes.c.opened_at.desc(), disputes.c.id.desc())
Index("disputes_account_idx", disputes.c.account)

MODEL = ReadModel(table=disputes, history=history_table("disputes"))
HEARS = (DisputeOpened, DisputeUpdated, DisputeWon, DisputeLost, DisputeClosed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeView:
    """A dispute of one payment. `reference` is the provider's name of it, `access` the policy for its access."""

    id: str
    account: str
    payment_id: str
    order_id: str
    provider: str
    reference: str
    status: str
    is_inquiry: bool
    amount: Money
    reason: str
    access: str
    evidence_due_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter:
    """Which disputes a manager wants to see; None is any."""

    account: str | None = None
    payment_id: str | None = None
    status: DisputeStatus | None = None
    due_before: datetime | None = None
    """Evidence is due before this moment, and the dispute is open."""


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes. What it took of the access is told by the access itself."""
    data: DisputeEvent = event.data
    values = _values(event, data)
    change = Change(
        model=MODEL,
        key=(data.dispute_id,),
        values=values,
        creates=isinstance(data, DisputeOpened),
        entity=data.dispute_id,
        noted={**values, "owed": data.owed} if isinstance(data, DisputeUpdated) and data.owed else None,
    )
    return (change,)


def _values(event: EventRecord, data: DisputeEvent) -> dict[str, Any]:
    amount = {"amount": data.amount.amount}
    match data:
        case DisputeOpened():
            return _opened(event.key, data)
        case DisputeUpdated():
            return {
                **amount,
                "status": data.status,
                "is_inquiry": data.is_inquiry,
                "reason": data.reason,
                "access": data.access,
                "evidence_due_at": data.evidence_due_at,
                **({"closed_at": None} if data.status in OPEN_STATUSES else {}),
            }
        case DisputeWon():
            return {**amount, "status": DisputeStatus.WON, "closed_at": data.told_at}
        case DisputeLost():
            ended = {"status": DisputeStatus.LOST, "is_inquiry": False, "closed_at": data.told_at}
            return {**amount, **ended, "access": data.access}
        case DisputeClosed():
            return {**amount, "status": DisputeStatus.CLOSED, "closed_at": data.told_at}
        case _:
            assert_never(data)


def _opened(account: str, opened: DisputeOpened) -> dict[str, Any]:
    return {
        "account": account,
        "payment_id": opened.payment_id,
        "order_id": opened.order_id,
        "provider": opened.provider,
        "reference": opened.reference,
        "status": opened.status,
        "is_inquiry": opened.is_inquiry,
        "amount": opened.amount.amount,
        "currency": opened.amount.currency,
        "reason": opened.reason,
        "access": opened.access,
        "evidence_due_at": opened.evidence_due_at,
        "opened_at": opened.opened_at,
        "closed_at": None,
    }


async def get(connection: AsyncConnection, dispute_id: str) -> DisputeView | None:
    """Return the dispute of whatever account, or None where there is no such dispute."""
    return await read_one(connection, select(disputes), {disputes.c.id: dispute_id}, _view)


async def list_page(
    connection: AsyncConnection, wanted: DisputeFilter, *, limit: int = 20, cursor: str | None = None
) -> Page[DisputeView]:
    """Return disputes of all accounts, newest first. Raises CursorInvalidError."""
    where = {
        disputes.c.account: wanted.account,
        disputes.c.payment_id: wanted.payment_id,
        disputes.c.status: wanted.status,
    }
    statement = select(disputes)
    if wanted.due_before is not None:
        statement = statement.where(disputes.c.evidence_due_at < wanted.due_before, disputes.c.closed_at.is_(None))
    sort = (disputes.c.opened_at, disputes.c.id)
    return await read_page(connection, statement, where, sort, _view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, dispute_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the dispute, oldest first."""
    return await read_history(connection, MODEL, account, dispute_id)


def _view(row: Any) -> DisputeView:
    return DisputeView(
        id=row.id,
        account=row.account,
        payment_id=row.payment_id,
        order_id=row.order_id,
        provider=row.provider,
        reference=row.reference,
        status=row.status,
        is_inquiry=row.is_inquiry,
        amount=Money(amount=row.amount, currency=row.currency),
        reason=row.reason,
        access=row.access,
        evidence_due_at=utc_or_none(row.evidence_due_at),
        opened_at=utc(row.opened_at),
        closed_at=utc_or_none(row.closed_at),
        updated_at=utc(row.updated_at),
    )
