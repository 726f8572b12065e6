"""The books against the log: every posting, schedule and sale is what the rules make of the events, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, select

from domain.ledger.accounts import provider_cash
from domain.ledger.journal import RULES, after, post
from projections.ledger import postings, sales, schedule_values, schedules
from projections.model import storable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ledger.entries import Schedule, ScheduleId
    from domain.ledger.state import Books
    from schemas.envelope import EventRecord

ACCOUNTS_MAX = 500
"""Accounts whose rows are read at once."""


@dataclass(slots=True)
class LedgerFold:
    """The books of one account as the log has them."""

    books: Books = field(default_factory=dict)
    postings: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    """By sequence of the event, and number in its entry."""
    schedules: dict[ScheduleId, Schedule] = field(default_factory=dict)

    def take(self, event: EventRecord) -> None:
        """Take in one more event of the account."""
        if type(event.data) not in RULES:
            return
        entry = post(self.books, event.data, event.time)
        self.books = after(self.books, entry)
        self.schedules |= {schedule.id: schedule for schedule in entry.schedules}
        for number, posting in enumerate(entry.postings, start=1):
            self.postings[event.sequence, number] = {
                "event_id": event.id,
                "at": event.time,
                "order_id": posting.order_id,
                "debit": posting.debit,
                "credit": posting.credit,
                "amount": posting.amount.amount,
                "currency": posting.amount.currency,
            }


async def compare_ledgers(
    connection: AsyncConnection, folds: Mapping[str, LedgerFold], cash: Counter[str] | None = None
) -> dict[str, list[str]]:
    """Return what differs between rows and fold, sentences by account; every account given has a list.

    `cash` is told, by provider's ledger account and currency, what the rows say that providers hold.
    """
    found: dict[str, list[str]] = {account: [] for account in folds}
    accounts = [account for account in folds if storable(account)]
    for start in range(0, len(accounts), ACCOUNTS_MAX):
        some = accounts[start : start + ACCOUNTS_MAX]
        rows = await _rows(connection, postings, some)
        for account in some:
            shown = {(row["sequence"], row["number"]): row for row in rows.get(account, ())}
            found[account] += _differences("posting", folds[account].postings, shown)
            if cash is not None:
                _count_cash(cash, shown)
        rows = await _rows(connection, schedules, some)
        for account in some:
            expected = {schedule.id: schedule_values(schedule) for schedule in folds[account].schedules.values()}
            found[account] += _differences("schedule", expected, {row["id"]: row for row in rows.get(account, ())})
        rows = await _rows(connection, sales, some)
        for account in some:
            remembered = {
                sale.order_id: {"open_until": sale.open_until, "state": msgspec.json.decode(msgspec.json.encode(sale))}
                for sale in folds[account].books.values()
            }
            found[account] += _differences("sale", remembered, {row["order_id"]: row for row in rows.get(account, ())})
    return found


async def _rows(connection: AsyncConnection, table: Table, accounts: list[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in (await connection.execute(select(table).where(table.c.account == func.any(accounts)))).mappings():
        found.setdefault(row["account"], []).append(dict(row))
    return found


def _differences(noun: str, expected: Mapping[Any, dict[str, Any]], shown: Mapping[Any, dict[str, Any]]) -> list[str]:
    sentences = [f"{noun} {_named(key)}: the log has it, the books do not" for key in expected.keys() - shown.keys()]
    sentences += [
        f"{noun} {_named(key)}: the books have it, the log does not" for key in shown.keys() - expected.keys()
    ]
    for key, columns in expected.items():
        row = shown.get(key)
        if row is not None:
            sentences += [
                f"{noun} {_named(key)}: {column} is {row[column]!r}, the log says {value!r}"
                for column, value in columns.items()
                if row[column] != value
            ]
    return sorted(sentences)


def _named(key: object) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _count_cash(cash: Counter[str], shown: Mapping[Any, dict[str, Any]]) -> None:
    """Add what the rows debit and credit to providers' cash, by ledger account and currency."""
    for row in shown.values():
        for leg, sign in (("debit", 1), ("credit", -1)):
            if row[leg].startswith(provider_cash("")):
                cash[f"{row[leg]} {row['currency']}"] += sign * row["amount"]
