"""Sentences about money say no more than what happened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.disputes.state import DisputeStatus
from domain.ids import PriceId
from domain.pricing.commands import GrantPersonalDiscount
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ChangePlan
from projections.audit.sentences import sentence
from projections.audit.words import Names
from tests.domain.histories import bought, charge, subscribed, subscription, until
from tests.domain.spec import DAY, HOUR, ORDER, T0, Spec, usd
from tests.domain.test_disputes import hears, told


def said(spec: Spec, kind: str) -> str:
    return next(sentence(event, Names()) for event in reversed(spec.events) if type(event).__name__ == kind)


@pytest.mark.parametrize(("amount", "with_them"), [(999, "and the access with them"), (500, "and no access with them")])
def test_a_lost_dispute_says_whether_access_went(amount: int, with_them: str) -> None:
    spec = hears(bought(), told(DisputeStatus.LOST, amount=usd(amount)))
    assert with_them in said(spec, "DisputeLost")


def test_a_charge_that_is_given_up_waits_for_no_page() -> None:
    spec = subscribed()
    charging = until(spec, subscription(spec).period_end - 3 * DAY)
    assert charge(charging).reference is None
    cancel = CancelSubscription(subscription_id=ORDER.subscription("cinema"), at=CancelAt.PERIOD_END)
    spec = charging.when(cancel, at=T0 + timedelta(days=26)).happens()
    assert said(spec, "PaymentCloseRequested").startswith("The provider was asked to make")


def test_a_change_of_plan_for_nothing_says_what_covers_it() -> None:
    plan = ORDER.subscription("cinema")
    change = ChangePlan(subscription_id=plan, price_id=PriceId("kids:month"), at=ChangeAt.NOW)
    by_credit = subscribed().when(change, at=T0 + HOUR).happens()
    assert "the credit covers the price" in said(by_credit, "OrderPaymentWaived")
    free = GrantPersonalDiscount(basis_points=10_000, reason="a friend of the house")
    spec = subscribed().when(free, command_id="free").happens().when(change, at=T0 + HOUR).happens()
    assert "the discount covers the whole price" in said(spec, "OrderPaymentWaived")


def test_what_was_to_go_back_while_the_bank_held_it_is_said() -> None:
    disputed = hears(subscribed(), told(DisputeStatus.NEEDS_RESPONSE), at=T0 + 14 * DAY)
    cancel = CancelSubscription(subscription_id=ORDER.subscription("cinema"), at=CancelAt.NOW)
    spec = disputed.when(cancel, at=T0 + 14 * DAY).happens()
    told_then = "$4.99 of it go back to the customer if the bank gives them to us again."
    assert said(spec, "DisputeUpdated").endswith(told_then)


def test_a_change_of_plan_without_a_rest_of_the_old_one_names_none() -> None:
    change = ChangePlan(subscription_id=ORDER.subscription("cinema"), price_id=PriceId("kids:month"), at=ChangeAt.NOW)
    spec = until(subscribed(), subscription(subscribed()).period_end)
    spec = spec.when(change, at=subscription(spec).period_end + HOUR).happens()
    assert "what is left of the old plan" not in said(spec, "OrderPlaced")
