"""Money that was to go back while the customer's bank held it: it goes back when the dispute is won."""

from __future__ import annotations

import pytest

from domain.disputes.owing import HELD_BY_THE_BANK
from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswerStatus
from domain.ids import OrderId, PriceId, derive
from domain.payments.commands import AnswerCall
from domain.policies.settings import PlanChangeRemainder, Policies
from domain.refunds.state import RefundedBy
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ChangePlan
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import refund_answer, subscribed, subscription
from tests.domain.spec import DAY, ORDER, T0, Spec
from tests.domain.test_disputes import hears, told
from tests.domain.test_reversed_refunds import newest

MIDDLE = T0 + 14 * DAY
LATER = MIDDLE + 40 * DAY
PLAN = ORDER.subscription("cinema")
CANCEL_NOW = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
UNUSED = 499


def disputed() -> Spec:
    return hears(subscribed("cinema:month"), told(DisputeStatus.NEEDS_RESPONSE), at=MIDDLE)


def cancelled(policies: Policies | None = None) -> Spec:
    spec = disputed().when(CANCEL_NOW, at=MIDDLE, policies=policies or Policies()).happens()
    assert (subscription(spec).status, spec.account.refunds) == (SubscriptionStatus.ENDED, {})
    return spec


def test_the_rest_of_what_was_cancelled_goes_back_when_it_is_won() -> None:
    spec = hears(cancelled(), told(DisputeStatus.UNDER_REVIEW, after=1), told(DisputeStatus.WON, after=2), at=LATER)
    refund = newest(spec)
    assert (refund.amount.amount, refund.reason, refund.requested_by) == (UNUSED, HELD_BY_THE_BANK, RefundedBy.POLICY)
    spec = spec.when(refund_answer(refund, RefundAnswerStatus.SUCCEEDED), at=LATER).happens()
    assert spec.account.payments[ORDER.payment].refunded == UNUSED
    hears(spec, told(DisputeStatus.WON, after=2), at=LATER + DAY)
    assert len(spec.account.refunds) == 1


@pytest.mark.parametrize("end", [DisputeStatus.LOST, DisputeStatus.UNDER_REVIEW])
def test_nothing_goes_back_that_is_not_ours(end: DisputeStatus) -> None:
    assert hears(cancelled(), told(end, after=2), at=LATER).account.refunds == {}


def test_nor_where_what_is_cancelled_is_not_given_back() -> None:
    policies = Policies(cancel_now_refunds=False)
    assert hears(cancelled(policies), told(DisputeStatus.WON, after=2), at=LATER).account.refunds == {}


@pytest.mark.parametrize("remainder", PlanChangeRemainder)
def test_the_rest_of_a_plan_that_was_changed_is_no_credit_and_goes_back_too(remainder: PlanChangeRemainder) -> None:
    policies = Policies(plan_change_remainder=remainder)
    change = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.NOW)
    spec = disputed().when(change, at=MIDDLE, command_id="change", policies=policies).happens()
    order = spec.account.orders[OrderId(derive("change", "order"))]
    assert (order.credit is not None, order.due.amount) == (True, 1999)
    spec = charged(spec, order.id, policies)
    assert subscription(spec).price_id == "cinema-plus:month"
    spec = hears(spec, told(DisputeStatus.WON, after=2), at=MIDDLE + DAY)
    wanted = [] if remainder is PlanChangeRemainder.KEEP else [UNUSED]
    assert [refund.amount.amount for refund in spec.account.refunds.values()] == wanted
    assert subscription(spec).is_running


def charged(spec: Spec, order_id: OrderId, policies: Policies) -> Spec:
    """The saved means of payment pays for the change of plan."""
    payment = spec.account.payments[spec.account.orders[order_id].payment_id]
    assert payment.call is not None
    answer = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="charge", amount=payment.amount, paid_at=MIDDLE)
    succeeded = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=answer)
    return spec.when(succeeded, at=MIDDLE, policies=policies).happens()
