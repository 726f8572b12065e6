"""Pauses: access rests, the rest of what was paid is kept to the second, and nobody is charged meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import (
    PauseLimitReached,
    SubscriptionIsPaused,
    SubscriptionNotPausable,
    SubscriptionNotRunning,
    SubscriptionUnknown,
)
from domain.ids import SubscriptionId
from domain.orders.state import OrderStatus
from domain.payments.commands import AnswerCall
from domain.policies.settings import Policies
from domain.refunds.commands import RequestRefund
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ContinueSubscription,
    ExtendSubscription,
    PauseSubscription,
    ResumeSubscription,
)
from domain.subscriptions.events import SubscriptionContinued, SubscriptionPaused
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    END,
    FIRST,
    OPENED,
    PLAN,
    ROLE,
    answered,
    bought_too,
    charge,
    charge_answered,
    paid,
    paid_period,
    place,
    refund,
    refund_answer,
    reported,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, SECOND, T0, Spec, given, usd

if TYPE_CHECKING:
    from collections.abc import Callable

AT = T0 + 10 * DAY
BACK = AT + timedelta(days=40, seconds=7)
LENGTH = BACK - AT
RESUME_BY = AT + POLICIES.pause_max
PAUSE = PauseSubscription(subscription_id=PLAN)
RESUME = ResumeSubscription(subscription_id=PLAN)
CANCEL = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)


def paused(spec: Spec | None = None, at: datetime = AT) -> Spec:
    return (spec or subscribed()).when(PAUSE, at=at).happens()


class TestThePause:
    def test_access_rests_and_nothing_is_charged(self) -> None:
        spec = (
            subscribed()
            .when(PAUSE, at=AT)
            .then(
                SubscriptionPaused(subscription_id=PLAN, paused_at=AT, resume_by=RESUME_BY),
                EntitlementEnded(resource=ROLE, ended_at=AT),
            )
        )
        assert subscription(spec).status is SubscriptionStatus.PAUSED
        spec.then_waits_for({"ContinueSubscription": RESUME_BY})

    def test_again_is_harmless(self) -> None:
        paused().when(PAUSE, at=AT + DAY).then_nothing()

    def test_a_renewal_that_is_unpaid_is_given_up(self) -> None:
        declined = charge_answered(
            until(subscribed(), FIRST), AnswerStatus.DECLINED, at=FIRST, decline_reason="insufficient_funds"
        )
        order_id = charge(declined).order_id
        spec = paused(declined, FIRST + HOUR)
        assert spec.account.orders[order_id].status is OrderStatus.CANCELLED

    def test_money_of_a_renewal_that_comes_all_the_same_goes_back(self) -> None:
        charging = until(subscribed(), FIRST)
        payment = charge(charging)
        spec = paused(charging, FIRST + HOUR)
        closing = spec.account.payments[payment.id]
        assert closing.call is not None
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999))
        answer = AnswerCall(payment_id=payment.id, effect_id=closing.call.effect_id, attempt=1, answer=told)
        after = spec.when(answer, at=FIRST + 2 * HOUR).happens()
        assert refund(after).amount == usd(999)
        assert subscription(after).status is SubscriptionStatus.PAUSED


class TestGoingOn:
    def test_everything_that_was_paid_moves_by_the_length_of_the_pause(self) -> None:
        end = END + LENGTH
        spec = (
            paused()
            .when(RESUME, at=BACK)
            .then(
                SubscriptionContinued(
                    subscription_id=PLAN,
                    anchor=end,
                    paid=(paid_period(ORDER, T0 + LENGTH, end),),
                    period_start=T0 + LENGTH,
                    period_end=end,
                    access_end=end + POLICIES.grace,
                    renew_at=end - 3 * DAY,
                    continued_at=BACK,
                ),
                EntitlementGranted(
                    resource=ROLE,
                    until=end + POLICIES.grace,
                    reason="subscription",
                    order_id=ORDER.order,
                    subscription_id=PLAN,
                ),
            )
        )
        assert subscription(spec).status is SubscriptionStatus.ACTIVE
        spec.then_waits_for({"RenewSubscription": end - 3 * DAY, "EndPeriod": end})
        renewed = charge_answered(until(spec, end - 3 * DAY), AnswerStatus.SUCCEEDED, at=end - 3 * DAY)
        assert subscription(renewed).period_start == end

    def test_within_the_lead_it_is_charged_at_once(self) -> None:
        spec = paused(at=END - HOUR).when(RESUME, at=END + 5 * DAY).happens()
        assert subscription(spec).renew_at == END + 5 * DAY
        again = until(spec, END + 5 * DAY)
        assert charge(again).amount == usd(999)

    def test_after_a_renewal_was_given_up_it_is_tried_again(self) -> None:
        declined = charge_answered(
            until(subscribed(), FIRST), AnswerStatus.DECLINED, at=FIRST, decline_reason="insufficient_funds"
        )
        same_moment = paused(declined, FIRST).when(RESUME, at=FIRST).happens()
        assert charge(until(same_moment, FIRST)).order_id != charge(declined).order_id

    def test_by_itself_when_it_has_lasted_as_long_as_it_may(self) -> None:
        spec = until(paused(), RESUME_BY)
        held = subscription(spec)
        assert (held.status, held.period_end) == (SubscriptionStatus.ACTIVE, END + POLICIES.pause_max)
        assert spec.account.entitlements[ROLE].until == held.access_end

    def test_by_itself_late_after_an_outage_nothing_of_the_rest_is_lost(self) -> None:
        late = RESUME_BY + 65 * DAY
        (timer,) = paused().timers
        spec = paused().when(timer.data, at=late).happens()
        assert subscription(spec).period_end - late == END - AT

    def test_by_a_timer_that_is_too_early_or_of_another_pause(self) -> None:
        go_on = ContinueSubscription(subscription_id=PLAN, resume_by=RESUME_BY)
        paused().when(go_on, at=RESUME_BY - HOUR).then_nothing()
        other = ContinueSubscription(subscription_id=PLAN, resume_by=RESUME_BY + DAY)
        paused().when(other, at=RESUME_BY + DAY).then_nothing()
        subscribed().when(go_on, at=RESUME_BY).then_nothing()
        given().when(go_on, at=RESUME_BY).then_nothing()

    def test_what_does_not_renew_by_itself_does_not_begin_to(self) -> None:
        spec = paused(subscribed(auto_renew=False)).when(RESUME, at=BACK).happens()
        assert (subscription(spec).auto_renew, subscription(spec).renew_at) == (False, None)
        assert spec.account.entitlements[ROLE].until == END + LENGTH


class TestWhileItRests:
    def test_cancelled_it_goes_on_and_ends_with_what_was_paid(self) -> None:
        spec = paused().when(CANCEL, at=AT + DAY).happens()
        assert subscription(spec).status is SubscriptionStatus.PAUSED
        spec.when(CANCEL, at=AT + DAY).then_nothing()
        over = until(spec, END + POLICIES.pause_max)
        assert subscription(over).status is SubscriptionStatus.ENDED
        assert len(over.account.payments) == 1

    def test_cancelled_at_once_the_rest_goes_back(self) -> None:
        now = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
        spec = paused(at=T0 + 14 * DAY).when(now, at=T0 + 50 * DAY).happens()
        assert subscription(spec).status is SubscriptionStatus.ENDED
        assert refund(spec).amount == usd(499), "14 of 28 days were left when it was paused"
        spec.then_waits_for({"RepeatRefund": T0 + 50 * DAY + POLICIES.call_repeat_delays[0]})

    def test_extended_it_rests_on(self) -> None:
        extend = ExtendSubscription(subscription_id=PLAN, days=5, reason="kindness")
        spec = paused().when(extend, at=AT + DAY).happens()
        assert subscription(spec).status is SubscriptionStatus.PAUSED
        assert spec.account.entitlements == {}
        back = spec.when(RESUME, at=BACK).happens()
        assert subscription(back).period_end == END + 5 * DAY + LENGTH

    def test_what_was_paid_ahead_is_paid_back(self) -> None:
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        spec = paused(ahead).when(RequestRefund(payment_id=SECOND.payment), at=AT + DAY).happens()
        assert refund(spec).amount == usd(999)
        after = spec.when(refund_answer(refund(spec), RefundAnswerStatus.SUCCEEDED), at=AT + DAY).happens()
        held = subscription(after)
        assert (held.status, held.period_end) == (SubscriptionStatus.PAUSED, END)
        assert after.account.entitlements == {}

    def test_no_more_of_it_can_be_bought(self) -> None:
        paused().when(place("cinema:month"), at=AT + DAY).then_rejected(SubscriptionIsPaused, subscription_id=PLAN)

    def test_money_for_an_earlier_order_ends_the_pause(self) -> None:
        ordered = subscribed().when(place("cinema:month"), at=AT, command_id=SECOND.command).happens()
        spec = paused(ordered).when(answered(SECOND.checkout, OPENED, ids=SECOND), at=AT + DAY).happens()
        spec = spec.when(reported(paid(usd(999)), payment_id=SECOND.payment), at=AT + DAY).happens()
        held = subscription(spec)
        assert (held.status, held.period_start) == (SubscriptionStatus.ACTIVE, END + DAY)
        assert spec.account.entitlements[ROLE].until == held.access_end


def grace() -> Spec:
    declined = charge_answered(
        until(subscribed(), FIRST), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True
    )
    return until(declined, END)


class TestRefusals:
    @pytest.mark.parametrize(
        ("history", "at", "status"),
        [(grace, END + HOUR, "grace"), (subscribed, END, "active"), (subscribed, END + DAY, "active")],
    )
    def test_what_is_not_paid_cannot_rest(self, history: Callable[[], Spec], at: datetime, status: str) -> None:
        history().when(PAUSE, at=at).then_rejected(SubscriptionNotPausable, status=status)

    def test_more_often_than_it_may_until_it_is_paid_again(self) -> None:
        spec = paused().when(RESUME, at=BACK).happens()
        spec.when(PAUSE, at=BACK + DAY).then_rejected(PauseLimitReached, pauses_max="1")
        twice = Policies(pauses_per_period_max=2)
        assert spec.when(PAUSE, at=BACK + DAY, policies=twice).events
        at = END + LENGTH - 3 * DAY
        renewed = charge_answered(until(spec, at), AnswerStatus.SUCCEEDED, at=at)
        assert renewed.when(PAUSE, at=at + HOUR).events

    def test_of_what_has_ended_or_nobody_knows(self) -> None:
        over = until(subscribed(auto_renew=False), END)
        over.when(PAUSE, at=END).then_rejected(SubscriptionNotRunning, status="ended")
        given().when(PauseSubscription(subscription_id=SubscriptionId("x"))).then_rejected(SubscriptionUnknown)
