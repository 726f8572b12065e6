"""A setting that is changed decides nothing anew: what was done under the old one stands in its events."""

from __future__ import annotations

from domain.effects import RefundAnswerStatus
from domain.errors import NothingToRefund
from domain.policies.settings import Policies, RefundAccess
from domain.refunds.commands import RequestRefund
from domain.subscriptions.commands import CancelAt, CancelSubscription
from tests.domain.histories import refund_answer, subscribed, subscription
from tests.domain.spec import DAY, ORDER, T0, Spec, usd
from tests.domain.test_reversed_refunds import newest

MIDDLE = T0 + 14 * DAY
KEEPS = Policies(refund_access=RefundAccess.KEEPS)
FOLLOWS = Policies(refund_access=RefundAccess.FOLLOWS)
ASK = RequestRefund(payment_id=ORDER.payment)


def given_back(amount: int | None, policies: Policies) -> Spec:
    ask = RequestRefund(payment_id=ORDER.payment, amount=amount)
    spec = subscribed().when(ask, at=MIDDLE, command_id="refund 1", policies=policies).happens()
    return spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=MIDDLE).happens()


class TestRefundAccess:
    def test_time_that_stayed_when_its_money_went_back_is_not_paid_back_again(self) -> None:
        spec = given_back(None, KEEPS)
        assert subscription(spec).is_running
        spec.when(ASK, at=MIDDLE, policies=FOLLOWS).then_rejected(NothingToRefund)
        cancel = CancelSubscription(subscription_id=ORDER.subscription("cinema"), at=CancelAt.NOW)
        assert len(spec.when(cancel, at=MIDDLE, policies=FOLLOWS).happens().account.refunds) == 1

    def test_time_that_went_with_its_money_is_not_counted_again(self) -> None:
        spec = given_back(200, FOLLOWS)
        rest = spec.when(ASK, at=MIDDLE, command_id="refund 2", policies=KEEPS).happens()
        assert newest(rest).amount == usd(299), "of 499 that were unused"

    def test_a_refund_on_its_way_takes_what_it_was_asked_for_under(self) -> None:
        for before, after in ((KEEPS, FOLLOWS), (FOLLOWS, KEEPS)):
            spec = subscribed().when(ASK, at=MIDDLE, policies=before).happens()
            told = refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED)
            spec = spec.when(told, at=MIDDLE, policies=after).happens()
            assert subscription(spec).is_running == (before is KEEPS)
