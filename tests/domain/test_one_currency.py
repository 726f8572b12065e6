"""A subscription is of one currency: what is left of its periods is reckoned in it."""

from __future__ import annotations

from domain.errors import CurrencyMismatch
from domain.money import Money
from domain.orders.commands import CancelOrder
from domain.orders.state import OrderStatus
from domain.refunds.state import RefundedBy
from domain.subscriptions.commands import CancelAt, CancelSubscription
from tests.domain.histories import OPENED, answered, bought_too, paid, place, refund, reported, subscribed, subscription
from tests.domain.spec import DAY, ORDER, SECOND, T0, given, usd

EURO = Money(amount=899, currency="EUR")


def test_it_is_not_bought_ahead_in_another_one() -> None:
    rejected = subscribed().when(place("cinema:eur"), at=T0 + DAY)
    rejected.then_rejected(CurrencyMismatch, left="USD", right="EUR")


def test_in_its_own_it_is() -> None:
    spec = given().when(place("cinema:eur"), command_id=ORDER.command).happens()
    spec = spec.when(answered(ORDER.checkout, OPENED)).happens()
    spec = spec.when(reported(paid(EURO))).happens()
    ahead = bought_too(spec, "cinema:eur", at=T0 + DAY, ids=SECOND)
    assert [period.sources[0].amount for period in subscription(ahead).paid] == [899, 899]


def test_when_it_has_ended_it_may_begin_in_another_one() -> None:
    cancel = CancelSubscription(subscription_id=ORDER.subscription("cinema"), at=CancelAt.NOW)
    spec = bought_too(subscribed().when(cancel).happens(), "cinema:eur", at=T0 + DAY, ids=SECOND)
    held = spec.account.subscriptions[SECOND.subscription("cinema")]
    assert (held.price, held.is_running) == (EURO, True)


def test_money_of_another_one_that_comes_late_goes_back() -> None:
    """The page was given up, and paid all the same after the plan had been bought in dollars."""
    spec = given().when(place("cinema:eur"), command_id=SECOND.command).happens()
    spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND)).happens()
    spec = spec.when(CancelOrder(order_id=SECOND.order)).happens()
    spec = spec.when(place("cinema:month"), command_id=ORDER.command).happens()
    spec = spec.when(answered(ORDER.checkout, OPENED)).happens()
    spec = spec.when(reported(paid(usd(999)))).happens()
    before = subscription(spec)
    spec = spec.when(answered(SECOND.close, paid(EURO), ids=SECOND), at=T0 + DAY).happens()
    assert subscription(spec) == before
    assert (refund(spec).amount, refund(spec).requested_by) == (EURO, RefundedBy.POLICY)
    assert spec.account.orders[SECOND.order].status is OrderStatus.FAILED
