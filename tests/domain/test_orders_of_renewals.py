"""The order of a renewal belongs to its subscription: it is not given up by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.effects import AnswerStatus
from domain.errors import OrderIsCancelled, OrderIsRenewal
from domain.orders.commands import CancelOrder
from domain.orders.state import OrderStatus
from domain.subscriptions.commands import CancelAt, CancelSubscription
from tests.domain.histories import charge, charge_answered, subscribed, subscription, until
from tests.domain.spec import DAY, HOUR, ORDER, Spec

PLAN = ORDER.subscription("cinema")
END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
FIRST, AGAIN = END - 3 * DAY, END - DAY


def charging() -> Spec:
    return until(subscribed(), FIRST)


def declined() -> Spec:
    return charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="no money")


@pytest.mark.parametrize("spec", [charging(), declined()], ids=["while it is charged", "in dunning"])
def test_it_is_refused_and_the_next_attempt_renews(spec: Spec) -> None:
    """Given up, it would be charged again, and the money given back."""
    order_id = charge(spec).order_id
    spec.when(CancelOrder(order_id=order_id), at=FIRST + HOUR).then_rejected(OrderIsRenewal, subscription_id=PLAN)
    if spec.account.payments[charge(spec).id].call is None:
        spec = until(spec, AGAIN)
    renewed = charge_answered(spec, AnswerStatus.SUCCEEDED, at=AGAIN)
    assert (subscription(renewed).period_end > END, renewed.account.refunds) == (True, {})


def test_it_goes_with_the_subscription() -> None:
    spec = declined()
    order_id = charge(spec).order_id
    cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
    spec = spec.when(cancel, at=FIRST + HOUR).happens()
    assert spec.account.orders[order_id].status is OrderStatus.CANCELLED
    spec.when(CancelOrder(order_id=order_id), at=FIRST + HOUR).then_rejected(OrderIsCancelled)
