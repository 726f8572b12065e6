"""Refunds as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, select

from domain.money import Money
from domain.refunds.events import (
    RefundCallRepeated,
    RefundEvent,
    RefundFailed,
    RefundReinstated,
    RefundRequested,
    RefundReversed,
    RefundSubmitted,
    RefundSucceeded,
)
from domain.refunds.state import RefundStatus
from projections.model import (
    Change,
    HistoryEntry,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    utc,
)
from projections.paging import Page, read_one, read_page

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

refunds = Table(
    "refunds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("reference", Text),
    Column("failure_reason", Text),
    Column("ends_access", Boolean, nullable=False),
    Column("access", Text, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("reversed_at", Moment),
    Column("updated_at", Moment, nullable=False),
)
Index("refunds_account_requested_at_idx", refunds.c.account, refunds.c.requested_at.desc(), refunds.c.id.desc())
Index("refunds_requested_at_idx", refunds.c.requested_at.desc(), refunds.c.id.desc())

MODEL = ReadModel(table=refunds, history=history_table("refunds"))
HEARS = (
    RefundRequested,
    RefundSubmitted,
    RefundCallRepeated,
    RefundSucceeded,
    RefundFailed,
    RefundReinstated,
    RefundReversed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundView:
    """A refund of one payment. `rule` says what allowed it."""

    id: str
    account: str
    payment_id: str
    order_id: str
    status: str
    amount: Money
    reason: str
    rule: str
    requested_by: str
    failure_reason: str | None
    requested_at: datetime
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: RefundEvent = event.data
    noted: dict[str, Any] | None = None
    match data:
        case RefundRequested():
            values = _requested(event.key, data)
        case RefundSubmitted():
            values = {"status": RefundStatus.SUBMITTED, "reference": data.reference}
        case RefundCallRepeated():
            values, noted = {}, {"attempt": data.attempt, "repeat_at": data.repeat_at}
        case RefundSucceeded():
            values = {"status": RefundStatus.SUCCEEDED, "reference": data.reference}
        case RefundFailed():
            values = {"status": RefundStatus.FAILED, "failure_reason": data.reason}
        case RefundReinstated():
            values = {"status": RefundStatus.SUBMITTED, "reference": data.reference}
            values |= {"failure_reason": None, "reversed_at": None}
        case RefundReversed():
            ended = {"status": RefundStatus.FAILED, "failure_reason": data.reason}
            values = {**ended, "reversed_at": data.reversed_at}
        case _:
            assert_never(data)
    change = Change(
        model=MODEL,
        key=(data.refund_id,),
        values=values,
        creates=isinstance(data, RefundRequested),
        entity=data.refund_id,
        noted=noted,
    )
    return (change,)


def _requested(account: str, requested: RefundRequested) -> dict[str, Any]:
    return {
        "account": account,
        "payment_id": requested.payment_id,
        "order_id": requested.order_id,
        "status": RefundStatus.REQUESTED,
        "amount": requested.amount.amount,
        "currency": requested.amount.currency,
        "reason": requested.reason,
        "rule": requested.rule,
        "requested_by": requested.requested_by,
        "reference": None,
        "failure_reason": None,
        "ends_access": requested.ends_access,
        "access": requested.access,
        "requested_at": requested.requested_at,
        "reversed_at": None,
    }


async def get(connection: AsyncConnection, account: str, refund_id: str) -> RefundView | None:
    """Return the refund, or None where the account has no such refund."""
    return await read_one(connection, select(refunds), {refunds.c.account: account, refunds.c.id: refund_id}, _view)


async def list_page(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> Page[RefundView]:
    """Return the account's refunds, newest first. Raises CursorInvalidError."""
    return await list_all(connection, account=account, limit=limit, cursor=cursor)


async def find(connection: AsyncConnection, refund_id: str) -> RefundView | None:
    """Return the refund of whichever account: for managers alone."""
    return await read_one(connection, select(refunds), {refunds.c.id: refund_id}, _view)


async def list_all(
    connection: AsyncConnection,
    *,
    account: str | None = None,
    status: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[RefundView]:
    """Return refunds of one account, or of all accounts for managers, newest first. Raises CursorInvalidError."""
    where, sort = {refunds.c.account: account, refunds.c.status: status}, (refunds.c.requested_at, refunds.c.id)
    return await read_page(connection, select(refunds), where, sort, _view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, refund_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the refund, oldest first."""
    return await read_history(connection, MODEL, account, refund_id)


def _view(row: Any) -> RefundView:
    return RefundView(
        id=row.id,
        account=row.account,
        payment_id=row.payment_id,
        order_id=row.order_id,
        status=row.status,
        amount=Money(amount=row.amount, currency=row.currency),
        reason=row.reason,
        rule=row.rule,
        requested_by=row.requested_by,
        failure_reason=row.failure_reason,
        requested_at=utc(row.requested_at),
        updated_at=utc(row.updated_at),
    )
