"""Every refusal of another plan, now or with the next period."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.errors import (
    AlreadyEntitled,
    CurrencyMismatch,
    PlanChangeRefused,
    PlanUnchanged,
    PriceInvalid,
    PriceUnknown,
    SubscriptionNotRunning,
    SubscriptionUnknown,
)
from domain.ids import SubscriptionId
from domain.refunds.commands import RequestRefund
from domain.subscriptions.commands import ChangeAt, PauseSubscription
from tests.domain.histories import END, MIDDLE, PLAN, bought_too, subscribed, until
from tests.domain.histories_of_plan_changes import change, changed
from tests.domain.spec import DAY, HOUR, ORDER, SECOND, T0, Spec, given

if TYPE_CHECKING:
    from collections.abc import Callable


def paused() -> Spec:
    return subscribed().when(PauseSubscription(subscription_id=PLAN), at=MIDDLE).happens()


def being_paid_back() -> Spec:
    asked = RequestRefund(payment_id=ORDER.payment)
    return subscribed().when(asked, at=T0 + 2 * HOUR, command_id="refund").happens()


class TestRefusals:
    @pytest.mark.parametrize("at", ChangeAt)
    @pytest.mark.parametrize(
        ("price", "error"),
        [
            ("cinema:eur", CurrencyMismatch),
            ("solaris:own", PriceInvalid),
            ("gone:own", PriceUnknown),
            ("old:cheap", PriceUnknown),
            ("x:y", PriceUnknown),
        ],
    )
    def test_a_price_that_does_not_fit(self, price: str, error: type, at: ChangeAt) -> None:
        subscribed().when(change(price, at), at=MIDDLE).then_rejected(error)

    @pytest.mark.parametrize("at", ChangeAt)
    def test_the_plan_that_it_has(self, at: ChangeAt) -> None:
        subscribed().when(change("cinema:month", at), at=MIDDLE).then_rejected(PlanUnchanged, price_id="cinema:month")
        after = changed().when(change(at=at), at=MIDDLE + DAY)
        after.then_rejected(PlanUnchanged, price_id="cinema-plus:month")

    @pytest.mark.parametrize("at", ChangeAt)
    def test_a_role_that_is_held_already(self, at: ChangeAt) -> None:
        both = bought_too(subscribed(), "kids:month", at=T0 + DAY, ids=SECOND)
        both.when(change("kids:month", at), at=MIDDLE).then_rejected(AlreadyEntitled, resource="role:kids")
        resting = both.when(PauseSubscription(subscription_id=SECOND.subscription("kids")), at=T0 + DAY).happens()
        resting.when(change("kids:month", at), at=MIDDLE).then_rejected(AlreadyEntitled)

    @pytest.mark.parametrize("at", ChangeAt)
    def test_of_what_has_ended_or_nobody_knows(self, at: ChangeAt) -> None:
        over = until(subscribed(auto_renew=False), END)
        over.when(change(at=at), at=END).then_rejected(SubscriptionNotRunning, status="ended")
        unknown = replace(change(at=at), subscription_id=SubscriptionId("x"))
        given().when(unknown).then_rejected(SubscriptionUnknown)

    @pytest.mark.parametrize(
        ("history", "reason"),
        [(paused, "it is paused"), (being_paid_back, "money of it is being given back")],
    )
    def test_now_is_not_the_time(self, history: Callable[[], Spec], reason: str) -> None:
        history().when(change(), at=MIDDLE).then_rejected(PlanChangeRefused, reason=reason)
