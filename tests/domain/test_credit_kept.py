"""Access that stays whatever goes back: credit that went back counts against what it bought, and nothing else."""

from __future__ import annotations

from domain.effects import RefundAnswerStatus
from domain.errors import NothingToRefund
from domain.policies.settings import Policies, RefundAccess
from domain.refunds.commands import RequestRefund
from domain.refunds.state import CREDIT
from domain.subscriptions.commands import CancelAt, CancelSubscription
from tests.domain.histories import refund_answer
from tests.domain.spec import ORDER, Spec
from tests.domain.test_credit_that_goes import CHANGE, MIDDLE, PLAN, changed

KEEPS = Policies(refund_access=RefundAccess.KEEPS)
KIDS = ORDER.subscription("kids")
UNUSED_OF_KIDS = 250
"""Half of its month is over."""


def answered(spec: Spec) -> Spec:
    """The provider carries out what is asked of it."""
    for refund in tuple(spec.account.refunds.values()):
        if refund.call is not None:
            spec = spec.when(refund_answer(refund, RefundAnswerStatus.SUCCEEDED), at=MIDDLE, policies=KEEPS).happens()
    return spec


def change_paid_back() -> Spec:
    """One of two plans of an order was changed, and all that the new one cost went back, its credit too."""
    spec = changed("cinema:month", "cinema-plus:month", "kids:month")
    payment_id = spec.account.orders[CHANGE].payment_id
    ask = RequestRefund(payment_id=payment_id)
    return spec.when(ask, at=MIDDLE, policies=KEEPS, command_id="refund 1").happens()


def test_the_other_plan_of_the_first_order_is_paid_back_all_the_same() -> None:
    for spec in (change_paid_back(), answered(change_paid_back())):
        assert [refund.rule for refund in spec.account.refunds.values()][1:] == [CREDIT]
        ask = RequestRefund(payment_id=ORDER.payment)
        (asked,) = spec.when(ask, at=MIDDLE, policies=KEEPS, command_id="refund 2").events
        assert asked.amount.amount == UNUSED_OF_KIDS
        again = answered(spec.and_given(asked)).when(ask, at=MIDDLE, policies=KEEPS, command_id="refund 3")
        again.then_rejected(NothingToRefund)


def test_cancelled_at_once_each_plan_gives_what_did_not_go_back_yet() -> None:
    spec = answered(change_paid_back())
    before = set(spec.account.refunds)
    kids = CancelSubscription(subscription_id=KIDS, at=CancelAt.NOW)
    given = spec.when(kids, at=MIDDLE, policies=KEEPS, command_id="cancel 1").happens()
    (refund,) = (each for name, each in given.account.refunds.items() if name not in before)
    assert refund.amount.amount == UNUSED_OF_KIDS
    plus = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
    after = answered(given).when(plus, at=MIDDLE, policies=KEEPS, command_id="cancel 2").happens()
    assert len(after.account.refunds) == len(before) + 1


def test_money_of_the_other_plan_takes_nothing_of_the_credit() -> None:
    spec = changed("cinema:month", "cinema-plus:month", "kids:month")
    ask = RequestRefund(payment_id=ORDER.payment, amount=UNUSED_OF_KIDS)
    spec = answered(spec.when(ask, at=MIDDLE, policies=KEEPS, command_id="refund 1").happens())
    cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
    after = spec.when(cancel, at=MIDDLE, policies=KEEPS, command_id="cancel 1").happens()
    amounts = [refund.amount.amount for refund in after.account.refunds.values()]
    assert sorted(amounts[1:]) == [499, 1500]
