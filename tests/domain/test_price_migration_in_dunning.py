"""A price that is announced while a renewal at another price is still being tried."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.effects import AnswerStatus
from domain.ids import PriceId
from domain.subscriptions.commands import MigratePrice
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import charge, charge_answered, subscribed, subscription, until
from tests.domain.spec import DAY, ORDER, T0, Spec, usd

PLAN = ORDER.subscription("cinema")
FIRST_END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
END = datetime(2030, 3, 31, 12, 30, tzinfo=UTC)
"""When the second period ends: the third costs the price that was announced first."""
NEXT_END = datetime(2030, 4, 30, 12, 30, tzinfo=UTC)


def migrate(name: str, effective_at: datetime) -> MigratePrice:
    return MigratePrice(subscription_id=PLAN, price_id=PriceId(name), effective_at=effective_at)


def declined_at_the_new_price() -> Spec:
    spec = subscribed().when(migrate("cinema:new", T0 + 30 * DAY)).happens()
    spec = until(spec, FIRST_END - 3 * DAY)
    spec = charge_answered(spec, AnswerStatus.SUCCEEDED, at=FIRST_END - 3 * DAY)
    spec = until(spec, END - 3 * DAY)
    assert charge(spec).amount == usd(1299)
    return charge_answered(spec, AnswerStatus.DECLINED, at=END - 3 * DAY, decline_reason="no money")


def announced_again() -> Spec:
    again = migrate("cinema:newer", END + 28 * DAY)
    return declined_at_the_new_price().when(again, at=END - 2 * DAY).happens()


def test_the_renewal_stays_as_it_was_agreed_and_renews() -> None:
    spec = until(announced_again(), END - DAY)
    assert charge(spec).amount == usd(1299)
    spec = charge_answered(spec, AnswerStatus.SUCCEEDED, at=END - DAY)
    held = subscription(spec)
    assert (held.status, held.price, held.period_end) == (SubscriptionStatus.ACTIVE, usd(1299), NEXT_END)
    assert spec.account.refunds == {}


def test_what_was_announced_since_comes_in_its_time() -> None:
    spec = charge_answered(until(announced_again(), END - DAY), AnswerStatus.SUCCEEDED, at=END - DAY)
    spec = until(spec, NEXT_END - 3 * DAY)
    assert charge(spec).amount == usd(1499)
    held = subscription(charge_answered(spec, AnswerStatus.SUCCEEDED, at=NEXT_END - 3 * DAY))
    assert (held.price, held.planned) == (usd(1499), None)
