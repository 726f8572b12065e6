"""Paid late, paid twice, paid for what is already held: fulfilled where it is wanted, else given back; never kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.ids import Resource
from domain.orders.commands import CancelOrder
from domain.orders.state import OrderStatus
from domain.payments.commands import ExpirePayment
from domain.payments.state import PaymentStatus
from domain.policies.settings import Policies
from domain.refunds.state import RefundedBy
from tests.domain.histories import (
    CLOSED,
    DECLINED,
    FILM,
    OPENED,
    REFUSED,
    answered,
    bought,
    bought_too,
    cancelling,
    charge,
    charge_answered,
    opened,
    paid,
    place,
    placed,
    refund,
    refund_answer,
    reported,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, SECOND, T0, Spec, usd

if TYPE_CHECKING:
    from domain.money import Money

PAID = answered(ORDER.checkout, paid())


def expired() -> Spec:
    expire = ExpirePayment(payment_id=ORDER.payment)
    return opened().when(expire, at=T0 + DAY).happens().when(answered(ORDER.close, CLOSED)).happens()


def failed() -> Spec:
    return opened().when(reported(DECLINED)).happens().when(answered(ORDER.close, CLOSED)).happens()


def refused() -> Spec:
    return placed().when(answered(ORDER.checkout, REFUSED)).happens()


def cancelled() -> Spec:
    return cancelling().when(answered(ORDER.close, CLOSED)).happens()


def goes_back(spec: Spec, amount: Money, reason: str) -> None:
    assert (refund(spec).amount, refund(spec).reason) == (amount, reason)
    assert refund(spec).requested_by is RefundedBy.POLICY
    assert spec.account.payments[refund(spec).payment_id].status is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize("ended", [expired(), failed(), refused()])
def test_paid_late_it_is_fulfilled_after_all(ended: Spec) -> None:
    spec = ended.when(PAID, at=T0 + 2 * DAY).happens()
    assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED
    assert spec.account.entitlements[FILM].until is None
    assert spec.account.refunds == {}


@pytest.mark.parametrize("ended", [expired(), failed(), refused()])
def test_paid_late_it_goes_back_by_setting(ended: Spec) -> None:
    never = Policies(late_payment_fulfils=False)
    spec = ended.when(PAID, at=T0 + 2 * DAY, policies=never).happens()
    goes_back(spec, usd(999), "paid after the order had ended")
    assert spec.account.entitlements == {}


@pytest.mark.parametrize("ended", [expired(), failed(), refused()])
def test_paid_late_and_bought_otherwise_meanwhile_it_goes_back(ended: Spec) -> None:
    spec = bought_too(ended, "solaris:own", at=T0 + DAY, ids=SECOND)
    goes_back(spec.when(PAID, at=T0 + 2 * DAY).happens(), usd(999), "paid after the order had ended")


def test_paid_after_the_customer_had_given_it_up_it_goes_back() -> None:
    spec = cancelled().when(PAID, at=T0 + HOUR).happens()
    goes_back(spec, usd(999), "paid after the order was cancelled")
    assert spec.account.orders[ORDER.order].status is OrderStatus.CANCELLED


def test_paid_twice_the_second_goes_back() -> None:
    first = until(subscribed(), subscription(subscribed()).period_end - 3 * DAY)
    declined = charge_answered(first, AnswerStatus.DECLINED, at=T0 + 26 * DAY, decline_reason="insufficient_funds")
    second = until(declined, subscription(declined).period_end - DAY)
    paid_once = charge_answered(second, AnswerStatus.SUCCEEDED, at=T0 + 28 * DAY)
    earlier = next(payment for payment in paid_once.account.payments.values() if payment.status is PaymentStatus.FAILED)
    told = paid(reference=earlier.reference)
    twice = paid_once.when(reported(told, payment_id=earlier.id), at=T0 + 29 * DAY).happens()
    goes_back(twice, usd(999), "the order was paid twice")
    assert subscription(twice).period_end == subscription(paid_once).period_end
    back = twice.when(refund_answer(refund(twice), RefundAnswerStatus.SUCCEEDED), at=T0 + 29 * DAY).happens()
    assert subscription(back) == subscription(paid_once), "what the first one bought stays"
    assert charge(second).id != earlier.id


class TestTwoOrdersForTheSameThing:
    """The first was being given up when the second was placed, and the customer paid both."""

    def both(self, *prices: str) -> Spec:
        spec = cancelling(*prices).when(place(*prices), command_id=SECOND.command).happens()
        spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND)).happens()
        total = spec.account.orders[ORDER.order].total
        return spec.when(answered(ORDER.close, paid(total))).happens()

    def test_a_film(self) -> None:
        spec = self.both("solaris:own").when(reported(paid(), payment_id=SECOND.payment)).happens()
        goes_back(spec, usd(999), "the account already holds it")
        assert spec.account.orders[SECOND.order].status is OrderStatus.FAILED
        assert spec.account.entitlements[FILM].order_id == ORDER.order

    def test_of_two_things_only_what_is_held_goes_back(self) -> None:
        spec = cancelling("solaris:own").when(place("solaris:own", "stalker:rent"), command_id=SECOND.command).happens()
        spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND)).happens()
        spec = spec.when(answered(ORDER.close, paid())).happens()
        spec = spec.when(reported(paid(usd(1298)), payment_id=SECOND.payment)).happens()
        goes_back(spec, usd(999), "the account already holds it")
        assert spec.account.orders[SECOND.order].status is OrderStatus.FULFILLED
        assert set(spec.account.entitlements) == {FILM, Resource("film:stalker")}

    def test_a_plan_that_another_plan_replaces(self) -> None:
        spec = cancelling("cinema:month").when(place("cinema-plus:month"), command_id=SECOND.command).happens()
        spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND)).happens()
        spec = spec.when(answered(ORDER.close, paid())).happens()
        spec = spec.when(reported(paid(usd(1999)), payment_id=SECOND.payment)).happens()
        goes_back(spec, usd(1999), "the account already holds it")
        assert subscription(spec).product_id == "cinema"


def test_given_up_while_it_was_paid_it_is_fulfilled() -> None:
    spec = opened().when(CancelOrder(order_id=ORDER.order)).happens().when(reported(paid())).happens()
    assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED
    assert bought().account.refunds == {}
