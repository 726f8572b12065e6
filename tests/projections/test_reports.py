"""Balances and reports: exactly what the domain's own arithmetic says, at any moment and on any day."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from domain.ledger.accounts import DEFERRED_REVENUE, DISCOUNTS, EARNED_REVENUE, REFUNDS, kind_of
from domain.ledger.entries import moved
from domain.orders.state import OrderPurpose
from projections import reports
from projections.ledger_queries import balances, list_entries
from projections.reports import Days, midnight
from tests.projections.histories import project
from tests.projections.test_ledger import folds_of
from tests.projections.test_read_models_equal_the_fold import random_log
from tests.sample_log import BEGIN, SampleLog

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from projections.ledger_queries import EntryView
    from projections.writer import Writer

DAY = timedelta(days=1)


def expected_balances(log: SampleLog, at: datetime) -> Counter[tuple[str, str]]:
    """By the domain: debits less credits, turned to the side on which the account grows."""
    found: Counter[tuple[str, str]] = Counter()
    legs = []
    for fold in folds_of(log).values():
        legs += [
            (row["debit"], row["credit"], row["amount"], row["currency"])
            for row in fold.postings.values()
            if row["at"] <= at
        ]
        legs += [(each.debit, each.credit, moved(each, at), each.amount.currency) for each in fold.schedules.values()]
    for debit, credit, amount, currency in legs:
        found[debit, currency] += amount if kind_of(debit).grows_by_debit else -amount
        found[credit, currency] += -amount if kind_of(credit).grows_by_debit else amount
    return found


@pytest.mark.parametrize("seed", range(2))
async def test_balances_and_days_are_exact(seed: int, writer: Writer, connection: AsyncConnection) -> None:
    log = random_log(seed, steps=400)
    await project(writer, log.records)
    random = Random(seed)
    length = int((log.now - BEGIN).total_seconds())
    for at in (BEGIN, log.now, *(BEGIN + timedelta(seconds=random.randint(0, length)) for _ in range(6))):
        shown = await balances(connection, at)
        assert {(row.ledger_account, row.currency): row.balance for row in shown if row.balance} == {
            key: amount for key, amount in expected_balances(log, at).items() if amount
        }
        for currency in {row.currency for row in shown}:
            of = [row for row in shown if row.currency == currency]
            assert sum(row.debits for row in of) == sum(row.credits for row in of)
    begin = BEGIN.date()
    days = Days(begin=begin, end=min(log.now.date() + DAY, begin + reports.DAYS_MAX * DAY))
    told = await reports.revenue(connection, days)
    for currency in {row.currency for row in told}:
        of_currency = [row for row in told if row.currency == currency]
        whole = expected_balances(log, midnight(days.end))
        assert sum(row.earned for row in of_currency) == whole[EARNED_REVENUE, currency]
        assert sum(row.refunds for row in of_currency) == whole[REFUNDS, currency]
        assert all(
            row.net == row.earned - row.discounts - row.refunds - row.disputes - row.credits for row in of_currency
        )
    one = random.choice([row for row in told if row.earned])
    alone = await reports.revenue(connection, Days(begin=one.day, end=one.day + DAY))
    assert one in alone


async def test_a_month_day_by_day(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    log.buy("ada", "premium:month")  # from noon of 31 January to noon of 28 February
    await project(writer, log.records)
    days = Days(begin=BEGIN.date(), end=BEGIN.date() + 30 * DAY)
    told = await reports.revenue(connection, days)
    assert len(told) == 29
    assert sum(row.earned for row in told) == sum(row.net for row in told) == 999
    assert {row.earned for row in told[1:-1]} == {35, 36}
    assert {told[0].earned, told[-1].earned} <= {17, 18}
    (recurring,) = await reports.recurring(connection, BEGIN + 10 * DAY)
    assert (recurring.currency, recurring.monthly, recurring.subscriptions) == ("USD", 999, 1)
    assert await reports.recurring(connection, BEGIN + 40 * DAY) == ()
    report = await reports.subscriptions_report(connection, days)
    assert (report.active_before, report.started, report.active, report.ended) == (0, 1, 1, 0)
    assert report.churn_basis_points is None
    later = await reports.subscriptions_report(connection, Days(begin=days.begin + DAY, end=days.end))
    assert (later.active_before, later.churn_basis_points) == (1, 0)
    found = {row.ledger_account: row.balance for row in await balances(connection, BEGIN + 10 * DAY)}
    assert found[DEFERRED_REVENUE] + found[EARNED_REVENUE] == 999
    assert DISCOUNTS not in found


async def test_what_dunning_brought_back(writer: Writer, connection: AsyncConnection) -> None:
    log = random_log(1, steps=500)
    await project(writer, log.records)
    told = await reports.dunning(connection, Days(begin=BEGIN.date(), end=BEGIN.date() + reports.DAYS_MAX * DAY))
    expected = 0
    for state in log.accounts.values():
        for order in state.orders.values():
            tries = [payment for payment in state.payments.values() if payment.order_id == order.id]
            is_declined = any(payment.status == "failed" for payment in tries)
            is_recent = order.placed_at < midnight(BEGIN.date() + reports.DAYS_MAX * DAY)
            expected += int(order.purpose is OrderPurpose.RENEWAL and is_declined and is_recent)
    assert sum(row.recovered + row.lost + row.open for row in told) == expected


async def test_the_journal_page_by_page(writer: Writer, connection: AsyncConnection) -> None:
    log = random_log(3, steps=150)
    await project(writer, log.records)
    seen: list[EntryView] = []
    cursor: str | None = None
    while True:
        page = await list_entries(connection, limit=7, cursor=cursor)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    folds = folds_of(log)
    assert len(seen) == len({(entry.account, entry.sequence) for entry in seen})
    assert sum(len(entry.postings) for entry in seen) == sum(len(fold.postings) for fold in folds.values())
    assert [entry.at for entry in seen] == sorted((entry.at for entry in seen), reverse=True)
    of_one = await list_entries(connection, account="account-1", limit=100)
    assert {entry.account for entry in of_one.items} == {"account-1"}
    refunds = await list_entries(connection, ledger_account=REFUNDS, limit=100)
    assert all(any(REFUNDS in (leg.debit, leg.credit) for leg in entry.postings) for entry in refunds.items)
    assert (await list_entries(connection, account="no\0body")).items == ()
