"""Customers: everybody who ever ordered, with what they ordered and paid in all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text, select

from domain.money import Money
from domain.orders.events import OrderPlaced
from domain.payments.events import PaymentSucceeded
from projections.model import (
    Change,
    HistoryEntry,
    Merge,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    storable,
    utc,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

customers = Table(
    "customers",
    metadata,
    Column("account", Text, primary_key=True),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
paid_totals = Table(
    "customers_paid",
    metadata,
    Column("account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("payments", BigInteger, nullable=False),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("account", "currency", name="customers_paid_pkey"),
)

_HISTORY = history_table("customers")
MODEL = ReadModel(table=customers, history=_HISTORY, merge={"first_seen": Merge.KEEP, "orders": Merge.ADD})
PAID = ReadModel(table=paid_totals, history=_HISTORY, merge={"amount": Merge.ADD, "payments": Merge.ADD})
HEARS = (OrderPlaced, PaymentSucceeded)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerView:
    """A customer. `last_seen` is when they last ordered or paid; `paid` has one amount for each currency."""

    account: str
    first_seen: datetime
    last_seen: datetime
    orders: int
    paid: tuple[Money, ...]


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    account = event.key
    data: OrderPlaced | PaymentSucceeded = event.data
    match data:
        case OrderPlaced():
            return (_seen(account, data.placed_at, orders=1),)
        case PaymentSucceeded():
            paid = {"amount": data.amount.amount, "payments": 1}
            return (
                _seen(account, data.paid_at, orders=0),
                Change(
                    model=PAID,
                    key=(account, data.amount.currency),
                    values=paid,
                    creates=True,
                    entity=account,
                    noted={"payment_id": data.payment_id, "paid_added": data.amount},
                ),
            )
        case _:
            assert_never(data)


def _seen(account: str, at: datetime, *, orders: int) -> Change:
    return Change(
        model=MODEL,
        key=(account,),
        values={"first_seen": at, "last_seen": at, "orders": orders},
        creates=True,
        entity=account,
        noted={"orders_added": orders} if orders else {},
    )


async def get(connection: AsyncConnection, account: str) -> CustomerView | None:
    """Return the customer, or None where the account never ordered."""
    if not storable(account):
        return None
    row = (await connection.execute(select(customers).where(customers.c.account == account))).one_or_none()
    if row is None:
        return None
    totals = await connection.execute(
        select(paid_totals).where(paid_totals.c.account == account).order_by(paid_totals.c.currency)
    )
    return CustomerView(
        account=row.account,
        first_seen=utc(row.first_seen),
        last_seen=utc(row.last_seen),
        orders=row.orders,
        paid=tuple(Money(amount=total.amount, currency=total.currency) for total in totals),
    )


async def history(connection: AsyncConnection, account: str) -> tuple[HistoryEntry, ...]:
    """Return every order and payment that counted, oldest first."""
    return await read_history(connection, MODEL, account, account)
