"""Subscriptions: cancelled, resumed, extended, at any time and as often as somebody likes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.balance.events import CreditGranted
from domain.effects import AnswerStatus, CloseCheckout, ProviderAnswer
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import ExtensionInvalid, RenewalMethodMissing, SubscriptionNotRunning, SubscriptionUnknown
from domain.ids import EffectId, SubscriptionId, derive
from domain.orders.events import OrderCancelled
from domain.orders.state import OrderStatus
from domain.payments.commands import AnswerCall
from domain.payments.events import PaymentCreated
from domain.policies.settings import Policies
from domain.refunds.state import RefundedBy
from domain.subscriptions.commands import CancelAt, CancelSubscription, ExtendSubscription, ResumeSubscription
from domain.subscriptions.events import (
    AccessBlocked,
    RenewalAttempted,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionResumed,
)
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    ACCESS_END,
    END,
    FIRST,
    PLAN,
    ROLE,
    bought_too,
    charge,
    charge_answered,
    refund,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, SECOND, T0, Spec, given, usd

CANCEL = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
CANCEL_NOW = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
RESUME = ResumeSubscription(subscription_id=PLAN)
UNKNOWN = SubscriptionId("x")


def access(until_moment: datetime) -> EntitlementGranted:
    return EntitlementGranted(
        resource=ROLE, until=until_moment, reason="subscription", order_id=ORDER.order, subscription_id=PLAN
    )


def charging() -> Spec:
    return until(subscribed(), FIRST)


def ended() -> Spec:
    return until(subscribed(auto_renew=False), END)


class TestCancelAtTheEnd:
    def test_it_renews_no_more_and_access_stays_to_the_end_of_what_was_paid(self) -> None:
        spec = (
            subscribed()
            .when(CANCEL, at=T0 + DAY)
            .then(SubscriptionCancelled(subscription_id=PLAN, access_end=END), access(END))
        )
        spec.then_waits_for({"EndPeriod": END})
        over = until(spec, END)
        assert over.events[-2:] == (
            SubscriptionEnded(subscription_id=PLAN, ended_at=END),
            EntitlementEnded(resource=ROLE, ended_at=END),
        )
        assert len(over.account.payments) == 1

    def test_again_or_after_the_end_is_harmless(self) -> None:
        cancelled = subscribed().when(CANCEL).happens()
        cancelled.when(CANCEL).then_nothing()
        ended().when(CANCEL, at=END).then_nothing()
        subscribed(auto_renew=False).when(CANCEL).then_nothing()

    def test_while_the_renewal_is_unpaid_its_order_ends(self) -> None:
        unpaid = charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="insufficient_funds")
        order_id = charge(unpaid).order_id
        unpaid.when(CANCEL, at=FIRST + HOUR).then(
            SubscriptionCancelled(subscription_id=PLAN, access_end=END),
            OrderCancelled(order_id=order_id),
            access(END),
        )

    def test_in_the_grace_it_ends_at_once(self) -> None:
        grace = until(
            charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True),
            END + DAY,
        )
        spec = grace.when(CANCEL, at=END + DAY).happens()
        assert subscription(spec).status is SubscriptionStatus.ENDED
        assert spec.account.entitlements == {}
        spec.then_waits_for({})

    def test_of_nobodys_subscription(self) -> None:
        given().when(CancelSubscription(subscription_id=UNKNOWN, at=CancelAt.PERIOD_END)).then_rejected(
            SubscriptionUnknown, subscription_id="x"
        )


class TestCancelWhileTheRenewalIsCharged:
    """The customer is not to pay for what was given up: the charge is closed, and what came goes back."""

    def test_a_charge_without_an_answer(self) -> None:
        payment_id = charge(charging()).id
        spec = charging().when(CANCEL, at=FIRST + HOUR).happens()
        payment = spec.account.payments[payment_id]
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999))
        paid = AnswerCall(payment_id=payment_id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        after = spec.when(paid, at=FIRST + 2 * HOUR).happens()
        assert subscription(after).period_end == END
        assert (refund(after).amount, refund(after).requested_by) == (usd(999), RefundedBy.POLICY)
        assert after.account.orders[payment.order_id].status is OrderStatus.CANCELLED

    def test_a_charge_that_was_never_made(self) -> None:
        payment_id = charge(charging()).id
        spec = charging().when(CANCEL, at=FIRST + HOUR).happens()
        payment = spec.account.payments[payment_id]
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.CLOSED)
        answered = AnswerCall(payment_id=payment_id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        after = spec.when(answered, at=FIRST + 2 * HOUR).happens()
        assert after.account.orders[payment.order_id].status is OrderStatus.CANCELLED
        after.then_waits_for({"EndPeriod": END, "SweepPayment": FIRST + 3 * HOUR})

    def test_a_charge_that_the_customer_was_to_confirm(self) -> None:
        asked = charge_answered(
            charging(), AnswerStatus.ACTION_REQUIRED, at=FIRST, confirmation_url="https://bank.example/confirm"
        )
        payment = charge(asked)
        asked.when(CANCEL, at=FIRST + HOUR).then_calls(
            CloseCheckout(
                effect_id=EffectId(derive(payment.id, "close")),
                payment_id=payment.id,
                provider="stripe",
                attempt=1,
                reference=payment.reference,
                customer_reference="cus_1",
            )
        )


class TestResume:
    def test_it_renews_again(self) -> None:
        spec = subscribed().when(CANCEL, at=T0 + DAY).happens().when(RESUME, at=T0 + 2 * DAY)
        resumed = spec.then(
            SubscriptionResumed(subscription_id=PLAN, access_end=ACCESS_END, renew_at=FIRST), access(ACCESS_END)
        )
        resumed.when(RESUME).then_nothing()
        resumed.then_waits_for({"RenewSubscription": FIRST, "EndPeriod": END})

    def test_after_the_lead_it_is_charged_at_once(self) -> None:
        spec = subscribed().when(CANCEL, at=T0).happens().when(RESUME, at=END - HOUR).happens()
        assert subscription(spec).renew_at == END - HOUR

    def test_after_a_renewal_that_was_given_up_the_next_has_an_order_of_its_own(self) -> None:
        declined = charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="insufficient_funds")
        given_up = charge(declined).order_id
        spec = declined.when(CANCEL, at=FIRST + HOUR).happens().when(RESUME, at=FIRST + 2 * HOUR).happens()
        again = until(spec, FIRST + 2 * HOUR)
        assert charge(again).order_id != given_up
        paid = charge_answered(again, AnswerStatus.SUCCEEDED, at=FIRST + 3 * HOUR)
        assert subscription(paid).period_start == END
        assert paid.account.refunds == {}

    def test_as_often_as_somebody_likes(self) -> None:
        spec = subscribed()
        for hour in range(20):
            spec = spec.when(CANCEL, at=T0 + hour * HOUR).happens().when(RESUME, at=T0 + hour * HOUR).happens()
        assert len([event for event in until(spec, FIRST).events if isinstance(event, RenewalAttempted)]) == 1

    def test_without_a_means_of_payment_there_is_no_grace_for_nothing(self) -> None:
        spec = subscribed(auto_renew=False)
        spec.when(RESUME, at=END - DAY).then_rejected(RenewalMethodMissing, subscription_id=PLAN)
        over = until(spec, END)
        assert over.account.entitlements == {}
        assert not [event for event in over.events if isinstance(event, AccessBlocked)], "cancelled is not blocked"

    def test_with_a_balance_that_covers_the_price_none_is_needed(self) -> None:
        bare = subscribed(auto_renew=False)
        little = bare.and_given(CreditGranted(amount=usd(998), reason="sorry"))
        little.when(RESUME, at=END - DAY).then_rejected(RenewalMethodMissing, subscription_id=PLAN)
        spec = bare.and_given(CreditGranted(amount=usd(999), reason="sorry")).when(RESUME, at=END - DAY).happens()
        assert subscription(until(spec, END - DAY)).period_start == END

    def test_of_what_has_ended(self) -> None:
        ended().when(RESUME, at=END).then_rejected(SubscriptionNotRunning, status="ended")
        given().when(ResumeSubscription(subscription_id=UNKNOWN)).then_rejected(SubscriptionUnknown)


class TestCancelNow:
    AT = T0 + 14 * DAY

    def test_access_ends_and_the_unused_part_goes_back(self) -> None:
        spec = subscribed().when(CANCEL_NOW, at=self.AT).happens()
        assert spec.account.entitlements == {}
        assert subscription(spec).status is SubscriptionStatus.ENDED
        # 14 of 28 days are left of 9.99.
        assert refund(spec).amount == usd(499)
        spec.when(CANCEL_NOW, at=self.AT).then_nothing()

    def test_what_was_paid_ahead_goes_back_too(self) -> None:
        ahead = bought_too(subscribed(), "cinema:quarter", at=T0 + DAY, ids=SECOND)
        spec = ahead.when(CANCEL_NOW, at=self.AT).happens()
        assert {asked.payment_id: asked.amount for asked in spec.account.refunds.values()} == {
            ORDER.payment: usd(499),
            SECOND.payment: usd(2500),
        }

    def test_by_setting_nothing_goes_back(self) -> None:
        keep = Policies(cancel_now_refunds=False)
        subscribed().when(CANCEL_NOW, at=self.AT, policies=keep).then(
            SubscriptionEnded(subscription_id=PLAN, ended_at=self.AT),
            EntitlementEnded(resource=ROLE, ended_at=self.AT),
        )

    def test_in_the_grace_there_is_nothing_to_give_back(self) -> None:
        grace = until(
            charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True),
            END + DAY,
        )
        spec = grace.when(CANCEL_NOW, at=END + DAY).happens()
        assert spec.account.refunds == {}
        assert spec.account.entitlements == {}

    def test_a_renewal_that_is_being_charged_goes_back_whole(self) -> None:
        spec = charging().when(CANCEL_NOW, at=FIRST + HOUR).happens()
        payment = next(each for each in spec.account.payments.values() if each.method is not None)
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999))
        paid = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        after = spec.when(paid, at=FIRST + 2 * HOUR).happens()
        assert subscription(after).status is SubscriptionStatus.ENDED
        assert [asked.amount for asked in after.account.refunds.values() if asked.payment_id == payment.id] == [
            usd(999)
        ]

    def test_of_nobodys_subscription(self) -> None:
        given().when(CancelSubscription(subscription_id=UNKNOWN, at=CancelAt.NOW)).then_rejected(SubscriptionUnknown)


class TestExtension:
    EXTEND = ExtendSubscription(subscription_id=PLAN, days=10, reason="an outage")

    def test_days_are_given_and_everything_later_moves(self) -> None:
        end = END + 10 * DAY
        spec = (
            subscribed()
            .when(self.EXTEND, at=T0 + DAY)
            .then(
                SubscriptionExtended(
                    subscription_id=PLAN,
                    days=10,
                    reason="an outage",
                    anchor=end,
                    period_end=end,
                    access_end=end + POLICIES.grace,
                    renew_at=end - 3 * DAY,
                ),
                access(end + POLICIES.grace),
            )
        )
        renewed = charge_answered(until(spec, end - 3 * DAY), AnswerStatus.SUCCEEDED, at=end - 3 * DAY)
        assert subscription(renewed).period_end == datetime(2030, 4, 10, 12, 30, tzinfo=UTC)

    def test_while_the_renewal_is_charged_that_renewal_is_given_up(self) -> None:
        spec = charging().when(self.EXTEND, at=FIRST + HOUR).happens()
        payment = next(each for each in spec.account.payments.values() if each.method is not None)
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999))
        paid = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        after = spec.when(paid, at=FIRST + 2 * HOUR).happens()
        assert refund(after).amount == usd(999)
        assert subscription(after).period_end == END + 10 * DAY
        again = until(after, END + 7 * DAY)
        assert len([event for event in again.events if isinstance(event, PaymentCreated)]) == 3

    def test_in_the_grace_the_period_runs_again(self) -> None:
        grace = until(
            charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True),
            END + DAY,
        )
        spec = grace.when(self.EXTEND, at=END + DAY).happens()
        assert subscription(spec).status is SubscriptionStatus.ACTIVE
        assert [type(timer.data).__name__ for timer in spec.timers] == ["RenewSubscription", "EndPeriod"]

    def test_in_the_grace_by_too_little(self) -> None:
        grace = until(
            charge_answered(charging(), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True),
            END + 36 * HOUR,
        )
        one = ExtendSubscription(subscription_id=PLAN, days=1, reason="kindness")
        spec = until(grace.when(one, at=END + 36 * HOUR).happens(), END + 36 * HOUR)
        assert subscription(spec).status is SubscriptionStatus.GRACE
        assert subscription(spec).access_end == ACCESS_END + DAY
        assert len([event for event in spec.events if isinstance(event, SubscriptionGraceStarted)]) == 2

    def test_of_what_does_not_renew(self) -> None:
        spec = subscribed(auto_renew=False).when(self.EXTEND).happens()
        assert (subscription(spec).access_end, subscription(spec).renew_at) == (END + 10 * DAY, None)

    @pytest.mark.parametrize("days", [0, -1, POLICIES.extension_days_max + 1])
    def test_by_days_that_make_no_sense(self, days: int) -> None:
        extend = ExtendSubscription(subscription_id=PLAN, days=days, reason="?")
        subscribed().when(extend).then_rejected(ExtensionInvalid, days=str(days))

    def test_of_what_has_ended_or_nobody_knows(self) -> None:
        ended().when(self.EXTEND, at=END).then_rejected(SubscriptionNotRunning)
        unknown = ExtendSubscription(subscription_id=UNKNOWN, days=1, reason="?")
        given().when(unknown).then_rejected(SubscriptionUnknown)
