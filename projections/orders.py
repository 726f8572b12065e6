"""Orders as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Index, Select, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.balance.events import BalanceReturned, BalanceUsed
from domain.money import Money
from domain.orders.events import (
    OrderAlreadyPlaced,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderFailed,
    OrderFulfilled,
    OrderPaid,
    OrderPaymentWaived,
    OrderPlaced,
)
from domain.orders.state import OPEN_STATUSES, OrderLine, OrderStatus
from domain.payments.events import PaymentActionRequired, PaymentCreated, PaymentProcessing
from domain.payments.state import PaymentStatus
from domain.pricing.state import AppliedDiscount
from projections.model import (
    Change,
    HistoryEntry,
    Merge,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    utc,
    utc_or_none,
)
from projections.paging import Page, read_one, read_page
from projections.payments import payments

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

orders = Table(
    "orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("subtotal", BigInteger, nullable=False),
    Column("discount", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("auto_renew", Boolean, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("failure_reason", Text),
    Column("placed_at", Moment, nullable=False),
    Column("paid_at", Moment),
    Column("applied", JSONB),
    Column("credit", BigInteger),
    Column("balance_used", BigInteger, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("orders_account_placed_at_idx", orders.c.account, orders.c.placed_at.desc(), orders.c.id.desc())
Index("orders_placed_at_idx", orders.c.placed_at.desc(), orders.c.id.desc())

MODEL = ReadModel(table=orders, history=history_table("orders"), merge={"balance_used": Merge.ADD})
HEARS = (
    OrderPlaced,
    OrderAlreadyPlaced,
    OrderPaid,
    OrderPaymentWaived,
    OrderFulfilled,
    OrderCancelled,
    OrderExpired,
    OrderFailed,
    PaymentCreated,
    PaymentActionRequired,
    PaymentProcessing,
    BalanceUsed,
    BalanceReturned,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaymentView:
    """How the payment of an order stands."""

    id: str
    status: str
    confirmation_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order with everything that was agreed about it."""

    id: str
    account: str
    status: str
    subtotal: Money
    discount: Money
    applied: AppliedDiscount | None
    """The discount that won, and why."""
    total: Money
    credit: Money | None
    """What is left of the old plan at a change of plan: `total` − `credit` is paid."""
    balance_used: Money
    """What the balance pays, or paid: so much less money is asked for."""
    lines: tuple[OrderLine, ...]
    auto_renew: bool
    purpose: str
    """`purchase`, `renewal` of a subscription, `plan_change`, `trial`."""
    payment: OrderPaymentView | None
    """Absent where nothing was ever to be collected: nothing was left to charge, or the order ended before."""
    failure_reason: str | None
    placed_at: datetime
    paid_at: datetime | None
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: OrderEvent | PaymentCreated | PaymentActionRequired | PaymentProcessing | BalanceUsed | BalanceReturned = (
        event.data
    )
    match data:
        case OrderPlaced():
            return (_change(data.order_id, _placed(event.key, data), creates=True),)
        case OrderAlreadyPlaced():
            return ()
        case OrderPaid():
            return (_change(data.order_id, _paid(data)),)
        case OrderPaymentWaived():
            values = {"status": OrderStatus.PAID, "paid_at": data.waived_at, "failure_reason": None}
            return (_change(data.order_id, values),)
        case OrderFulfilled():
            return (_change(data.order_id, {"status": OrderStatus.FULFILLED}),)
        case OrderCancelled():
            return (_change(data.order_id, {"status": OrderStatus.CANCELLED}),)
        case OrderExpired():
            return (_change(data.order_id, {"status": OrderStatus.EXPIRED}),)
        case OrderFailed():
            return (_change(data.order_id, {"status": OrderStatus.FAILED, "failure_reason": data.reason}),)
        case PaymentCreated():
            # A renewal is tried again with a payment of its own; the order shows the newest.
            values = {"payment_id": data.payment_id}
            return (Change(model=MODEL, key=(data.order_id,), values=values, entity=data.order_id, noted={}),)
        case PaymentActionRequired() | PaymentProcessing():
            return (_change(data.order_id, {"status": OrderStatus.AWAITING_PAYMENT}),)
        case BalanceUsed() | BalanceReturned():
            return (_balance(data),)
        case _:
            assert_never(data)


def _change(order_id: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(order_id,), values=values, creates=creates, entity=order_id)


def _balance(data: BalanceUsed | BalanceReturned) -> Change:
    used = data.amount.amount if isinstance(data, BalanceUsed) else -data.amount.amount
    noted = {"balance_used_added": used}
    return Change(model=MODEL, key=(data.order_id,), values={"balance_used": used}, entity=data.order_id, noted=noted)


def _paid(paid: OrderPaid) -> dict[str, Any]:
    """The payment that paid it is the one that it shows: the balance, or an attempt that was not the newest."""
    return {
        "status": OrderStatus.PAID,
        "payment_id": paid.payment_id,
        "paid_at": paid.paid_at,
        "failure_reason": None,
    }


def _placed(account: str, placed: OrderPlaced) -> dict[str, Any]:
    return {
        "account": account,
        "payment_id": placed.payment_id,
        "status": OrderStatus.PENDING,
        "currency": placed.total.currency,
        "subtotal": placed.subtotal.amount,
        "discount": placed.discount.amount,
        "applied": placed.applied,
        "total": placed.total.amount,
        "credit": None if placed.credit is None else placed.credit.amount,
        "balance_used": 0,
        "auto_renew": placed.auto_renew,
        "lines": placed.lines,
        "purpose": placed.purpose,
        "failure_reason": None,
        "placed_at": placed.placed_at,
        "paid_at": None,
    }


async def get(connection: AsyncConnection, account: str, order_id: str) -> OrderView | None:
    """Return the order, or None where the account has no such order."""
    return await read_one(connection, _joined(), {orders.c.account: account, orders.c.id: order_id}, _view)


async def list_page(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> Page[OrderView]:
    """Return the account's orders, newest first. Raises CursorInvalidError."""
    return await list_all(connection, account=account, limit=limit, cursor=cursor)


async def find(connection: AsyncConnection, order_id: str) -> OrderView | None:
    """Return the order of whichever account: for managers alone."""
    return await read_one(connection, _joined(), {orders.c.id: order_id}, _view)


async def list_all(
    connection: AsyncConnection,
    *,
    account: str | None = None,
    status: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[OrderView]:
    """Return orders of one account, or of all accounts for managers, newest first. Raises CursorInvalidError."""
    where, sort = {orders.c.account: account, orders.c.status: status}, (orders.c.placed_at, orders.c.id)
    return await read_page(connection, _joined(), where, sort, _view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, order_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the order, oldest first."""
    return await read_history(connection, MODEL, account, order_id)


def _joined() -> Select[Any]:
    joined = orders.outerjoin(
        payments, (payments.c.id == orders.c.payment_id) & (payments.c.account == orders.c.account)
    )
    return select(orders, payments.c.status.label("payment_status"), payments.c.confirmation_url).select_from(joined)


def _payment(row: Any) -> OrderPaymentView | None:
    """Return how it is paid. An open order whose promo code has not answered has a payment in a moment."""
    if row.payment_status is None and row.status not in OPEN_STATUSES:
        return None
    status = row.payment_status or PaymentStatus.CREATED
    return OrderPaymentView(id=row.payment_id, status=status, confirmation_url=row.confirmation_url)


def _view(row: Any) -> OrderView:
    return OrderView(
        id=row.id,
        account=row.account,
        status=row.status,
        subtotal=Money(amount=row.subtotal, currency=row.currency),
        discount=Money(amount=row.discount, currency=row.currency),
        applied=None if row.applied is None else msgspec.convert(row.applied, AppliedDiscount),
        total=Money(amount=row.total, currency=row.currency),
        credit=None if row.credit is None else Money(amount=row.credit, currency=row.currency),
        balance_used=Money(amount=row.balance_used, currency=row.currency),
        lines=msgspec.convert(row.lines, tuple[OrderLine, ...]),
        auto_renew=row.auto_renew,
        purpose=row.purpose,
        payment=_payment(row),
        failure_reason=row.failure_reason,
        placed_at=utc(row.placed_at),
        paid_at=utc_or_none(row.paid_at),
        updated_at=utc(row.updated_at),
    )
