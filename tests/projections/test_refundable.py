"""The list of what may be given back now says what the deciders would allow, for any history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from domain.errors import DomainError
from domain.policies.settings import Policies
from domain.refunds import rules
from projections.paging import CursorInvalidError
from projections.refundable import list_page
from tests.projections.histories import project
from tests.projections.test_read_models_equal_the_fold import ACCOUNTS, random_log
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.account.state import Account
    from projections.writer import Writer

POLICIES = Policies()


def allowed(state: Account, now: datetime, policies: Policies) -> dict[str, tuple[int, str]]:
    """What the domain would allow the customer, by payment."""
    found: dict[str, tuple[int, str]] = {}
    for payment in state.payments.values():
        try:
            allowance = rules.allowance(state, payment, now, policies, by_manager=False)
        except DomainError:
            continue
        found[payment.id] = (allowance.amount, allowance.rule)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_what_the_deciders_allow(seed: int, writer: Writer, connection: AsyncConnection) -> None:
    log = random_log(seed)
    await project(writer, log.records)
    random = Random(seed)
    seen: set[str] = set()
    for account in ACCOUNTS:
        state = log.accounts[account]
        moments = [payment.created_at for payment in state.payments.values()]
        for at in random.sample(moments, min(6, len(moments))):
            now = at + random.choice([timedelta(minutes=30), timedelta(days=1), timedelta(days=20)])
            policies = replace(POLICIES, refund_unused=random.random() < 0.8)
            page = await list_page(connection, account, now, policies, limit=100)
            expected = allowed(state, now, policies)
            assert {item.payment.id: (item.amount.amount, item.rule) for item in page.items} == expected
            seen |= {rule for _, rule in expected.values()}
    assert rules.WINDOW in seen


async def test_pages(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    for _ in range(5):
        log.buy("ada", "premium:month")
    await project(writer, log.records)
    now = log.now
    whole = await list_page(connection, "ada", now, POLICIES, limit=10)
    assert (len(whole.items), whole.next_cursor) == (5, None)
    collected, cursor = [], None
    for _ in range(3):
        page = await list_page(connection, "ada", now, POLICIES, limit=2, cursor=cursor)
        collected += [item.payment.id for item in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert collected == [item.payment.id for item in whole.items]
    assert (await list_page(connection, "eve", now, POLICIES)).items == ()
    with pytest.raises(CursorInvalidError):
        await list_page(connection, "ada", now, POLICIES, cursor="nonsense")
