"""What customers may spend here, by currency, and every entry that made it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text, select

from domain.balance.events import (
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.money import Money
from projections.model import (
    Change,
    Merge,
    Moment,
    ReadModel,
    history_table,
    metadata,
    storable,
    utc,
)
from projections.paging import Page, checked_limit, decode_cursor, newest_first, page_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

balances = Table(
    "balances",
    metadata,
    Column("account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("account", "currency", name="balances_pkey"),
)
_HISTORY = history_table("balances")

MODEL = ReadModel(table=balances, history=_HISTORY, merge={"amount": Merge.ADD})
HEARS = (CreditGranted, CreditTakenBack, BalanceUsed, BalanceReturned, BalanceRefunded)
Moved = CreditGranted | CreditTakenBack | BalanceUsed | BalanceReturned | BalanceRefunded


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """One change of a balance. `amount` is below zero for what went off it; `by` is who did it."""

    id: str
    kind: str
    """`granted`, `taken_back`, `used`, `returned`, `refunded`: the last word of the event's type."""
    amount: Money
    order_id: str | None
    refund_id: str | None
    reason: str | None
    by: str
    at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: Moved = event.data
    added, about = _entry(data)
    currency = data.amount.currency
    change = Change(
        model=MODEL,
        key=(event.key, currency),
        values={"amount": added},
        creates=True,
        entity=currency,
        noted={"amount_added": added, **about},
    )
    return (change,)


def _entry(data: Moved) -> tuple[int, dict[str, str]]:
    """Return what the event adds to the balance, and what it is about."""
    amount = data.amount.amount
    match data:
        case CreditGranted():
            return amount, {"reason": data.reason}
        case CreditTakenBack():
            return -amount, {"reason": data.reason}
        case BalanceUsed():
            return -amount, {"order_id": data.order_id}
        case BalanceReturned():
            return amount, {"order_id": data.order_id}
        case BalanceRefunded():
            return amount, {"order_id": data.order_id, "refund_id": data.refund_id}
        case _:
            assert_never(data)


async def held(connection: AsyncConnection, account: str) -> tuple[Money, ...]:
    """Return the account's balances by currency; one that is used up stays, with nothing on it."""
    if not storable(account):
        return ()
    statement = select(balances).where(balances.c.account == account).order_by(balances.c.currency)
    return tuple(Money(amount=row.amount, currency=row.currency) for row in await connection.execute(statement))


async def list_entries(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> Page[EntryView]:
    """Return what changed the account's balances, newest first. Raises CursorInvalidError."""
    if not storable(account):
        return Page(items=(), next_cursor=None)
    after = None if cursor is None else decode_cursor(cursor, tuple[int])
    statement = select(_HISTORY).where(_HISTORY.c.account == account)
    rows = await connection.execute(
        newest_first(statement, (_HISTORY.c.sequence,), after).limit(checked_limit(limit) + 1)
    )
    return page_of(rows.all(), limit, _view, lambda row: (row.sequence,))


def _view(row: Any) -> EntryView:
    changes = row.changes
    return EntryView(
        id=row.event_id,
        kind=row.event_type.rpartition(".")[2],
        amount=Money(amount=changes["amount_added"], currency=row.entity_id),
        order_id=changes.get("order_id"),
        refund_id=changes.get("refund_id"),
        reason=changes.get("reason"),
        by=row.actor,
        at=utc(row.at),
    )
