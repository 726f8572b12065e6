"""What the books say: balances at any moment, and the journal entry by entry."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Numeric, case, cast, extract, func, or_, select, tuple_

from domain.ledger.accounts import kind_of
from domain.money import Money
from projections.ledger import postings, schedules
from projections.model import storable, utc
from projections.paging import Page, checked_limit, decode_cursor, newest_first, page_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceView:
    """A ledger account in one currency. `balance` is positive on the side on which the account grows."""

    ledger_account: str
    kind: str
    currency: str
    debits: int
    credits: int
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingView:
    """One amount, debited to one ledger account and credited to another."""

    debit: str
    credit: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """All that one event posted."""

    account: str
    sequence: int
    event_id: str
    event_type: str
    command_id: str
    actor: str
    order_id: str | None
    at: datetime
    postings: tuple[PostingView, ...]


def moved_by(moment: Any) -> ColumnElement[int]:
    """Return the minor units that a schedule has moved by a moment, as `domain.ledger.entries.moved` counts them."""
    table = schedules.c
    reached = func.least(moment, table.until, table.ends_at)  # PostgreSQL's LEAST passes over what is absent
    passed, whole = _seconds(reached - table.starts_at), _seconds(table.ends_at - table.starts_at)
    part = func.div(cast(table.amount, Numeric) * passed, whole)
    return cast(case((reached >= table.ends_at, table.amount), (reached <= table.starts_at, 0), else_=part), BigInteger)


def _seconds(interval: Any) -> ColumnElement[Any]:
    """Return an interval in seconds, exact to the microsecond."""
    return cast(extract("epoch", interval), Numeric)


async def balances(connection: AsyncConnection, at: datetime) -> tuple[BalanceView, ...]:
    """Return every ledger account's balance at a moment, that moment's own postings included."""
    totals: dict[str, Counter[tuple[str, str]]] = {"debit": Counter(), "credit": Counter()}
    posted = (
        select(postings.c.debit, postings.c.credit, postings.c.currency, func.sum(postings.c.amount).label("amount"))
        .where(postings.c.at <= at)
        .group_by(postings.c.debit, postings.c.credit, postings.c.currency)
    )
    earned = (
        select(
            schedules.c.debit,
            schedules.c.credit,
            schedules.c.currency,
            func.sum(moved_by(at)).label("amount"),
        )
        .where(schedules.c.since <= at)
        .group_by(schedules.c.debit, schedules.c.credit, schedules.c.currency)
    )
    for statement in (posted, earned):
        for row in await connection.execute(statement):
            totals["debit"][row.debit, row.currency] += int(row.amount)
            totals["credit"][row.credit, row.currency] += int(row.amount)
    names = sorted(totals["debit"].keys() | totals["credit"].keys())
    return tuple(_balance(name, currency, totals) for name, currency in names)


def _balance(name: str, currency: str, totals: dict[str, Counter[tuple[str, str]]]) -> BalanceView:
    debits, credits_ = totals["debit"][name, currency], totals["credit"][name, currency]
    kind = kind_of(name)
    return BalanceView(
        ledger_account=name,
        kind=kind,
        currency=currency,
        debits=debits,
        credits=credits_,
        balance=debits - credits_ if kind.grows_by_debit else credits_ - debits,
    )


async def list_entries(
    connection: AsyncConnection,
    *,
    account: str | None = None,
    ledger_account: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[EntryView]:
    """Return entries, newest first; of one customer, or that touch one ledger account. Raises CursorInvalidError."""
    if not storable(account or "", ledger_account or ""):
        return Page(items=(), next_cursor=None)
    keys = (postings.c.at, postings.c.account, postings.c.sequence)
    after = None if cursor is None else decode_cursor(cursor, tuple[datetime, str, int])
    statement = select(*keys).distinct()
    if account is not None:
        statement = statement.where(postings.c.account == account)
    if ledger_account is not None:
        statement = statement.where(or_(postings.c.debit == ledger_account, postings.c.credit == ledger_account))
    statement = newest_first(statement, keys, after).limit(checked_limit(limit) + 1)
    rows = (await connection.execute(statement)).all()
    shown = await _entries(connection, [(row.account, row.sequence) for row in rows[:limit]])
    return page_of(
        rows, limit, lambda row: shown[row.account, row.sequence], lambda row: (row.at, row.account, row.sequence)
    )


async def _entries(connection: AsyncConnection, keys: list[tuple[str, int]]) -> dict[tuple[str, int], EntryView]:
    if not keys:
        return {}
    statement = (
        select(postings)
        .where(tuple_(postings.c.account, postings.c.sequence).in_(keys))
        .order_by(postings.c.account, postings.c.sequence, postings.c.number)
    )
    found: dict[tuple[str, int], list[Any]] = {}
    for row in await connection.execute(statement):
        found.setdefault((row.account, row.sequence), []).append(row)
    return {key: _entry(rows) for key, rows in found.items()}


def _entry(rows: list[Any]) -> EntryView:
    first = rows[0]
    return EntryView(
        account=first.account,
        sequence=first.sequence,
        event_id=first.event_id,
        event_type=first.event_type,
        command_id=first.command_id,
        actor=first.actor,
        order_id=first.order_id,
        at=utc(first.at),
        postings=tuple(
            PostingView(debit=row.debit, credit=row.credit, amount=Money(amount=row.amount, currency=row.currency))
            for row in rows
        ),
    )
