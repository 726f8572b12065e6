"""The books: postings, the schedules that time earns by, and the sales that the next entry is written from.

The rules are `domain.ledger`'s. They need to know the sales that an event may touch, so an entry is made inside the
transaction that writes it, from the rows as they stand at the batch's beginning: no copy of them is kept anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from domain.ledger.journal import RULES
from domain.ledger.state import Sale
from projections.model import SCHEMA, Moment, ReadModel, metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.ids import OrderId
    from domain.ledger.entries import Schedule
    from domain.ledger.journal import Entry
    from domain.ledger.state import Books
    from schemas.envelope import EventRecord

postings = Table(
    "ledger_postings",
    metadata,
    Column("account", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("command_id", Text, nullable=False),
    Column("order_id", Text),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("account", "sequence", "number", name="ledger_postings_pkey"),
    CheckConstraint("amount > 0", name="ledger_postings_amount_check"),
    CheckConstraint("debit <> credit", name="ledger_postings_legs_check"),
)
"""One row has both legs of a posting and one amount: no row, and no sum of rows, can be out of balance."""
Index("ledger_postings_at_idx", postings.c.at.desc(), postings.c.account.desc(), postings.c.sequence.desc())

schedules = Table(
    "ledger_schedules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("subscription_id", Text),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("monthly", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("amount > 0", name="ledger_schedules_amount_check"),
    CheckConstraint("debit <> credit", name="ledger_schedules_legs_check"),
    CheckConstraint("starts_at < ends_at", name="ledger_schedules_span_check"),
)
"""Rows are opened once and closed once, so they are their own history."""
Index("ledger_schedules_account_idx", schedules.c.account)
Index("ledger_schedules_ends_at_idx", schedules.c.ends_at)

sales = Table(
    "ledger_sales",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("open_until", Moment),
    Column("state", JSONB, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("ledger_sales_account_idx", sales.c.account, sales.c.open_until)

SCHEDULES = ReadModel(table=schedules, history=None)
SALES = ReadModel(table=sales, history=None)
HEARS = frozenset(RULES)


def postings_of(entry: Entry, event: EventRecord, partition: int, offset: int) -> list[tuple[Any, ...]]:
    """Return the rows of an entry's postings, in the order of the table's columns."""
    return [
        (
            event.key,
            event.sequence,
            number,
            event.id,
            event.type,
            partition,
            offset,
            event.time,
            event.actor,
            event.command_id,
            posting.order_id,
            posting.debit,
            posting.credit,
            posting.amount.amount,
            posting.amount.currency,
        )
        for number, posting in enumerate(entry.postings, start=1)
    ]


def sale_row(sale: Sale, account: str) -> dict[str, Any]:
    """Return the columns of a sale, but for its id."""
    return {"account": account, "open_until": sale.open_until, "state": sale}


def schedule_row(schedule: Schedule, account: str) -> dict[str, Any]:
    """Return the columns of a schedule, but for its id."""
    return {"account": account, **schedule_values(schedule)}


def schedule_values(schedule: Schedule) -> dict[str, Any]:
    """Return the columns of a schedule, but for its id and whose it is."""
    return {
        "order_id": schedule.order_id,
        "resource": schedule.resource,
        "subscription_id": schedule.subscription_id,
        "debit": schedule.debit,
        "credit": schedule.credit,
        "amount": schedule.amount.amount,
        "monthly": schedule.monthly,
        "currency": schedule.amount.currency,
        "starts_at": schedule.starts_at,
        "ends_at": schedule.ends_at,
        "since": schedule.since,
        "until": schedule.until,
    }


def books_statement(schema: str = SCHEMA) -> str:
    """Return the query for the sales that some events may touch, as `domain.ledger.journal.needs` tells them."""
    return (
        f'SELECT account, order_id, state FROM "{schema}"."{sales.name}" '  # noqa: S608  names of our own tables
        "WHERE account = ANY(%s::text[]) AND (order_id = ANY(%s::text[]) OR open_until > %s)"
    )


def books_parameters(events: Iterable[EventRecord]) -> tuple[list[str], list[str], Any]:
    """Return the parameters of that query: whose sales, which orders, and from when on they must be open."""
    accounts: set[str] = set()
    orders: set[str] = set()
    times = []
    for event in events:
        accounts.add(str(event.key))
        times.append(event.time)
        order_id = getattr(event.data, "order_id", None)
        if order_id is not None:
            orders.add(str(order_id))
    return sorted(accounts), sorted(orders), min(times)


def books_of(rows: Iterable[tuple[str, OrderId, Any]]) -> dict[str, Books]:
    """Return the books of each account from the rows of that query."""
    found: dict[str, dict[OrderId, Sale]] = {}
    for account, order_id, state in rows:
        found.setdefault(account, {})[order_id] = msgspec.convert(state, Sale)
    return dict(found)
