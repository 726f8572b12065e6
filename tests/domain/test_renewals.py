"""Renewals: when the saved method is charged, what a late or missing answer means, and who is never charged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.effects import AnswerStatus, ChargeMethod, ProviderAnswer
from domain.entitlements.events import EntitlementGranted
from domain.ids import EffectId, SubscriptionId, derive
from domain.orders.events import OrderFulfilled, OrderPaid, OrderPlaced
from domain.orders.state import OrderPurpose, OrderStatus
from domain.payments.commands import AnswerCall, ReportPayment
from domain.payments.events import PaymentCloseRequested, PaymentCreated, PaymentSucceeded
from domain.payments.state import CloseReason, PaymentStatus
from domain.policies.settings import Policies
from domain.subscriptions.commands import RenewSubscription
from domain.subscriptions.events import (
    AccessBlocked,
    RenewalAttempted,
    RenewalAuthenticationRequired,
    RenewalFailed,
    SubscriptionGraceStarted,
    SubscriptionRenewed,
)
from domain.subscriptions.state import PaidPeriod, Source, SubscriptionStatus
from tests.domain.histories import (
    ACCESS_END,
    END,
    FIRST,
    METHOD,
    NEXT_END,
    PLAN,
    ROLE,
    charge,
    charge_answered,
    due,
    paid_period,
    subscribed,
    subscription,
    until,
)
from tests.domain.histories_of_renewals import (
    FIRST_CHARGE,
    RENEW,
    RENEWAL,
    SECOND_CHARGE,
    charging,
    count,
    declined,
    renewed,
)
from tests.domain.spec import AGREED, DAY, HOUR, MINUTE, ORDER, POLICIES, T0, Spec, usd


class TestTheCharge:
    def test_the_saved_method_is_charged_the_lead_before_the_end(self) -> None:
        assert subscription(subscribed()).renew_at == FIRST
        decision = subscribed().when(RENEW, at=FIRST, command_id="renew 1")
        (line,) = subscribed().account.orders[ORDER.order].lines
        decision.then(
            OrderPlaced(
                order_id=RENEWAL,
                payment_id=FIRST_CHARGE,
                lines=(line,),
                subtotal=usd(999),
                discount=usd(0),
                total=usd(999),
                auto_renew=True,
                placed_at=FIRST,
                purpose=OrderPurpose.RENEWAL,
                provider="stripe",
            ),
            PaymentCreated(
                payment_id=FIRST_CHARGE,
                order_id=RENEWAL,
                amount=usd(999),
                provider="stripe",
                effect_id=EffectId(derive(FIRST_CHARGE, "charge")),
                return_url=None,
                save_method=False,
                created_at=FIRST,
                expires_at=ACCESS_END,
                repeat_at=FIRST + POLICIES.call_repeat_delays[0],
                method=METHOD,
            ),
            RenewalAttempted(subscription_id=PLAN, order_id=RENEWAL, payment_id=FIRST_CHARGE, attempt=1),
        )
        decision.then_calls(
            ChargeMethod(
                effect_id=EffectId(derive(FIRST_CHARGE, "charge")),
                payment_id=FIRST_CHARGE,
                order_id=RENEWAL,
                provider="stripe",
                attempt=1,
                amount=usd(999),
                description="Cinema",
                customer_reference="cus_1",
                method_reference="pm_1",
                created_at=FIRST,
                expires_at=ACCESS_END,
            )
        )

    def test_the_cycle_advances_with_the_money_alone(self) -> None:
        assert subscription(charging()).period_end == END
        payment = charge(charging())
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999), paid_at=FIRST + MINUTE)
        assert payment.call is not None
        answered = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        access_end = NEXT_END + POLICIES.grace
        charging().when(answered, at=FIRST + MINUTE).then(
            PaymentSucceeded(
                payment_id=FIRST_CHARGE,
                order_id=RENEWAL,
                amount=usd(999),
                provider="stripe",
                reference="ch_1",
                paid_at=FIRST + MINUTE,
                customer_reference=None,
                method_reference=None,
                method_label=None,
            ),
            OrderPaid(order_id=RENEWAL, payment_id=FIRST_CHARGE, paid_at=FIRST + MINUTE),
            SubscriptionRenewed(
                subscription_id=PLAN,
                order_id=RENEWAL,
                anchor=T0,
                units=2,
                period_start=END,
                period_end=NEXT_END,
                access_end=access_end,
                auto_renew=True,
                renew_at=NEXT_END - 3 * DAY,
                renewed_at=FIRST + MINUTE,
                paid=(
                    paid_period(ORDER, T0, END),
                    PaidPeriod(
                        order_id=RENEWAL,
                        start=END,
                        end=NEXT_END,
                        sources=(Source(payment_id=FIRST_CHARGE, amount=999),),
                    ),
                ),
                terms=AGREED,
            ),
            EntitlementGranted(
                resource=ROLE, until=access_end, reason="subscription", order_id=RENEWAL, subscription_id=PLAN
            ),
            OrderFulfilled(order_id=RENEWAL),
        )

    def test_three_years_keep_the_anchor_day_and_every_period_is_paid_once(self) -> None:
        spec, ends = subscribed(), []
        for _ in range(36):
            held = subscription(spec)
            assert held.renew_at is not None
            spec = until(spec, held.renew_at)
            spec = renewed(spec, held.renew_at + MINUTE)
            ends.append(subscription(spec).period_end)
            assert len(subscription(spec).paid) <= 2
        assert [end.day for end in ends[:14]] == [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28, 31, 30]
        assert all(payment.status is PaymentStatus.SUCCEEDED for payment in spec.account.payments.values())
        assert count(spec, SubscriptionRenewed) == 36
        assert count(spec, SubscriptionGraceStarted) == 0

    def test_a_period_shorter_than_the_lead_is_renewed_from_its_start(self) -> None:
        long_lead = Policies(renewal_offsets=(timedelta(days=-40), timedelta(0)))
        renewal = subscribed().when(RENEW, at=FIRST, policies=long_lead).happens()
        assert subscription(charge_answered(renewal, AnswerStatus.SUCCEEDED, at=FIRST)).renew_at == END

    @pytest.mark.parametrize(
        "renew",
        [
            RenewSubscription(subscription_id=PLAN, period_end=NEXT_END, attempt=1),
            RenewSubscription(subscription_id=PLAN, period_end=END, attempt=2),
            RenewSubscription(subscription_id=SubscriptionId("x"), period_end=END, attempt=1),
        ],
    )
    def test_of_another_period_attempt_or_subscription(self, renew: RenewSubscription) -> None:
        subscribed().when(renew, at=FIRST).then_nothing()

    def test_too_early_twice_or_after_the_money(self) -> None:
        subscribed().when(RENEW, at=FIRST - MINUTE).then_nothing()
        charging().when(RENEW, at=FIRST + HOUR).then_nothing()
        renewed(charging(), FIRST).when(RENEW, at=FIRST + HOUR).then_nothing()

    def test_what_does_not_renew_is_never_charged(self) -> None:
        spec = until(subscribed(auto_renew=False), END + 60 * DAY)
        assert count(spec, RenewalAttempted) == 0
        assert len(spec.account.payments) == 1


class TestTheBankAsksTheCustomer:
    URL = "https://bank.example/confirm"

    def asked(self) -> Spec:
        return charge_answered(charging(), AnswerStatus.ACTION_REQUIRED, at=FIRST, confirmation_url=self.URL)

    def test_the_customer_is_told_and_there_is_no_blind_retry(self) -> None:
        spec = self.asked()
        assert spec.events[-1] == RenewalAuthenticationRequired(
            subscription_id=PLAN, attempt=1, confirmation_url=self.URL
        )
        assert subscription(spec).renew_at is None
        assert subscription(spec).status is SubscriptionStatus.PAST_DUE
        assert charge(spec).status is PaymentStatus.ACTION_REQUIRED
        assert count(until(spec, ACCESS_END), RenewalAttempted) == 1

    def test_the_customer_confirms(self) -> None:
        payment = charge(self.asked())
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference=payment.reference, amount=usd(999))
        report = ReportPayment(payment_id=payment.id, provider="stripe", report_id="evt_1", answer=told)
        spec = self.asked().when(report, at=END + HOUR).happens()
        assert subscription(spec).period_end == NEXT_END

    def test_the_customer_fails_to_confirm(self) -> None:
        payment = charge(self.asked())
        told = ProviderAnswer(status=AnswerStatus.DECLINED, decline_reason="authentication_failed")
        report = ReportPayment(payment_id=payment.id, provider="stripe", report_id="evt_1", answer=told)
        spec = self.asked().when(report, at=FIRST + HOUR).happens()
        assert subscription(spec).renew_at == END - DAY

    def test_nobody_confirms(self) -> None:
        over = until(self.asked(), ACCESS_END)
        assert subscription(over).status is SubscriptionStatus.ENDED
        payment = over.account.payments[FIRST_CHARGE]
        assert payment.call is not None, "the provider is asked to make it unpayable"
        closed = ProviderAnswer(status=AnswerStatus.CLOSED, reference=payment.reference)
        answered = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=closed)
        ended = over.when(answered, at=ACCESS_END + HOUR).happens()
        assert ended.account.orders[RENEWAL].status is OrderStatus.EXPIRED
        ended.then_waits_for({})


class TestUnknownAnswers:
    def test_the_same_charge_is_asked_for_again_and_no_other_is_made(self) -> None:
        spec = until(charging(), END + DAY)
        assert count(spec, RenewalAttempted) == 1
        payment = charge(spec)
        assert payment.call is not None
        assert payment.call.attempt > 50
        assert payment.call.effect_id == EffectId(derive(FIRST_CHARGE, "charge"))
        assert subscription(spec).status is SubscriptionStatus.GRACE

    def test_the_money_is_known_in_the_grace(self) -> None:
        spec = renewed(until(charging(), END + DAY), END + DAY)
        held = subscription(spec)
        assert (held.status, held.period_start, held.period_end) == (SubscriptionStatus.ACTIVE, END, NEXT_END)

    def test_the_money_is_known_after_the_access_had_ended(self) -> None:
        """Nobody pays for a time without access: the money buys a month from now on, and renews no more."""
        later = ACCESS_END + 10 * DAY
        over = until(charging(), later)
        assert subscription(over).status is SubscriptionStatus.ENDED
        payment = over.account.payments[FIRST_CHARGE]
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999))
        answered = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        spec = over.when(answered, at=later).happens()
        held = subscription(spec)
        assert (held.period_start, held.period_end) == (later, datetime(2030, 4, 12, 12, 30, tzinfo=UTC))
        assert (held.status, held.auto_renew) == (SubscriptionStatus.ACTIVE, False)
        assert spec.account.entitlements[ROLE].until == held.period_end

    def test_an_earlier_attempt_turns_out_paid_while_the_next_is_charged(self) -> None:
        """The period is renewed once; what the next attempt brings goes back, and its decline tells nobody of it."""
        second = until(declined(charging(), FIRST), END - DAY)
        first = second.account.payments[FIRST_CHARGE]
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference=first.reference, amount=usd(999))
        report = ReportPayment(payment_id=first.id, provider="stripe", report_id="evt_1", answer=told)
        spec = second.when(report, at=END - DAY + HOUR).happens()
        assert subscription(spec).period_end == NEXT_END
        assert spec.account.orders[RENEWAL].payment_id == FIRST_CHARGE
        next_charge = spec.account.payments[SECOND_CHARGE]
        assert next_charge.call is not None
        lost = ProviderAnswer(status=AnswerStatus.DECLINED, decline_reason="insufficient_funds")
        answered = AnswerCall(payment_id=next_charge.id, effect_id=next_charge.call.effect_id, attempt=1, answer=lost)
        not_paid = spec.when(answered, at=END).happens()
        assert count(not_paid, RenewalFailed) == 1
        assert not_paid.account.orders[RENEWAL].status is OrderStatus.FULFILLED
        assert subscription(not_paid).status is SubscriptionStatus.ACTIVE
        twice = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_2", amount=usd(999))
        answered = AnswerCall(payment_id=next_charge.id, effect_id=next_charge.call.effect_id, attempt=1, answer=twice)
        paid_twice = spec.when(answered, at=END).happens()
        assert subscription(paid_twice).period_end == NEXT_END
        assert [refund.amount for refund in paid_twice.account.refunds.values()] == [usd(999)]


class TestAfterALongOutage:
    """All was down for 65 days: nobody is charged for a time in which there was no access."""

    def test_nobody_is_charged(self) -> None:
        for spec in (subscribed(), declined(charging(), FIRST)):
            back = due(spec, T0 + 65 * DAY)
            assert subscription(back).status is SubscriptionStatus.ENDED
            assert count(back, RenewalAttempted) == count(spec, RenewalAttempted)
            assert count(back, AccessBlocked) == 1
            assert back.account.entitlements == {}
            assert not [timer for timer in back.timers if timer.due_at <= T0 + 65 * DAY]

    def test_back_within_the_grace_the_renewal_is_made_up_for(self) -> None:
        back = due(subscribed(), END + 30 * HOUR)
        assert count(back, RenewalAttempted) == 1
        spec = renewed(back, END + 31 * HOUR)
        assert subscription(spec).period_start == END
        assert count(spec, AccessBlocked) == 0

    def test_one_charge_however_many_periods_went_by(self) -> None:
        spec = due(subscribed("cinema:days"), T0 + 400 * DAY)
        assert len(spec.account.payments) == 1


def test_a_renewal_that_is_given_up_closes_the_page_of_the_bank() -> None:
    spec = charge_answered(
        charging(), AnswerStatus.ACTION_REQUIRED, at=FIRST, confirmation_url="https://bank.example/confirm"
    )
    over = until(spec, ACCESS_END)
    requests = [event for event in over.events if isinstance(event, PaymentCloseRequested)]
    assert [request.reason for request in requests] == [CloseReason.EXPIRED]
