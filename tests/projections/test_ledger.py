"""The books as rows: what the rules make of the log, exactly once, and never out of balance."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest

from domain.balance.state import BALANCE
from domain.ledger.accounts import kind_of
from domain.payments.state import Succeeded
from projections.audit.ledger_checks import LedgerFold, compare_ledgers
from schemas.envelope import read_event
from tests.projections.histories import project
from tests.projections.test_read_models_equal_the_fold import random_log
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from projections.writer import Writer


def folds_of(log: SampleLog) -> dict[str, LedgerFold]:
    """The books of every account, folded from the log at once and in full."""
    folds: dict[str, LedgerFold] = {}
    for record in log.records:
        event = read_event(record.key, record.value, record.headers)
        folds.setdefault(event.key, LedgerFold()).take(event)
    return folds


@pytest.mark.parametrize("seed", range(3))
async def test_rows_equal_the_fold(seed: int, writer: Writer, connection: AsyncConnection) -> None:
    log = random_log(seed)
    random = Random(seed)
    await project(writer, log.records, sorted(random.sample(range(len(log.records)), 40)))
    folds = folds_of(log)
    cash: Counter[str] = Counter()
    assert await compare_ledgers(connection, folds, cash) == {account: [] for account in folds}
    expected: Counter[str] = Counter()
    for state in log.accounts.values():
        for payment in state.payments.values():
            if payment.provider == BALANCE:
                continue
            came = payment.amount.amount if isinstance(payment.phase, Succeeded) else 0
            held = came - payment.refunded - payment.disputed
            expected[f"provider_cash:stripe {payment.amount.currency}"] += held
    assert +cash == +expected


async def test_what_differs_is_told(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    log.buy("ada", "premium:month")
    await project(writer, log.records)
    await connection.exec_driver_sql("UPDATE billing.ledger_postings SET amount = 1 WHERE debit = 'receivables'")
    await connection.exec_driver_sql("DELETE FROM billing.ledger_schedules")
    told = (await compare_ledgers(connection, folds_of(log)))["ada"]
    assert len(told) == 2
    assert told[0].endswith("amount is 1, the log says 999")
    assert told[1].endswith("the log has it, the books do not")
    assert len((await compare_ledgers(connection, {"ada": LedgerFold()}))["ada"]) > 2


async def test_a_posting_without_both_legs_or_of_nothing_is_refused(
    writer: Writer, migrated_url: str, connection: AsyncConnection
) -> None:
    log = SampleLog()
    log.buy("ada")
    await project(writer, log.records)
    for change in ("amount = 0", "amount = -1", "credit = debit", "credit = NULL", "amount = NULL"):
        with psycopg.connect(migrated_url) as plain, pytest.raises(psycopg.IntegrityError):
            plain.execute(f"UPDATE billing.ledger_postings SET {change}".encode())
    rows = (await connection.exec_driver_sql("SELECT debit, credit FROM billing.ledger_postings")).all()
    assert len(rows) == 3
    assert all(kind_of(account) for row in rows for account in row)
