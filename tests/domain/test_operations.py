"""Specs of going on by hand with what waits too long: harmless however often, and never another charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, ChargeMethod, CreateCheckout, FetchPayment
from domain.entitlements.events import EntitlementEnded
from domain.ids import OrderId, derive
from domain.operations.commands import ResumeOverdue
from domain.orders.events import OrderPlaced
from domain.payments.events import PaymentCallRepeated, PaymentCloseRequested, PaymentCreated, PaymentFetchRequested
from domain.pricing.state import PromoCode
from domain.promo.events import PromoUseCallRepeated
from domain.refunds.commands import RequestRefund
from domain.refunds.events import RefundCallRepeated
from domain.subscriptions.commands import RenewSubscription
from domain.subscriptions.events import RenewalAttempted, SubscriptionGraceStarted
from tests.domain.histories import (
    bought,
    charge_answered,
    due,
    opened,
    place,
    placed,
    processing,
    refund,
    subscribed,
    subscription,
)
from tests.domain.spec import DAY, HOUR, MINUTE, ORDER, POLICIES, T0, Spec, given

if TYPE_CHECKING:
    from typing import Any


TEN = PromoCode(code="TEN", basis_points=1000, uses_max=10)


def resume(subject: str) -> ResumeOverdue:
    return ResumeOverdue(subject=subject)


def kinds(events: tuple[Any, ...]) -> list[type]:
    return [type(event) for event in events]


class TestCalls:
    """What has no answer is asked again at once, with the idempotency key that it had."""

    def test_the_call_is_made_again_with_its_key(self) -> None:
        decision = placed().when(resume(ORDER.payment), at=T0 + HOUR)
        (repeated,) = decision.events
        assert isinstance(repeated, PaymentCallRepeated)
        assert (repeated.effect_id, repeated.attempt) == (ORDER.checkout, 2)
        assert repeated.repeat_at == T0 + HOUR + POLICIES.call_repeat_delays[1]
        (timer,) = [timer for timer in decision.happens().timers if timer.due_at < T0 + DAY - 2 * HOUR]
        assert timer.name == f"repeat {ORDER.checkout} 2"

    def test_also_before_its_time(self) -> None:
        assert kinds(placed().when(resume(ORDER.payment), at=T0).events) == [PaymentCallRepeated]

    def test_a_renewal_is_charged_under_one_key_however_often(self) -> None:
        renewing = subscribed()
        at = subscription(renewing).renew_at
        assert at is not None
        spec = due(renewing, at)
        payment = next(payment for payment in spec.account.payments.values() if payment.method is not None)
        assert payment.call is not None
        for number in range(3):
            (again,) = spec.when(resume(payment.id), at=at + number * HOUR, command_id=f"resume {number}").events
            assert isinstance(again, PaymentCallRepeated)
            assert again.effect_id == payment.call.effect_id
            spec = spec.and_given(again)
        assert len([found for found in spec.account.payments.values() if found.method is not None]) == 1

    def test_a_refund(self) -> None:
        spec = bought().when(RequestRefund(payment_id=ORDER.payment)).happens()
        asked = refund(spec)
        assert asked.call is not None
        (again,) = spec.when(resume(asked.id), at=T0 + HOUR).events
        assert isinstance(again, RefundCallRepeated)
        assert (again.effect_id, again.attempt) == (asked.call.effect_id, 2)

    def test_a_reservation_of_a_promo_code(self) -> None:
        spec = given().when(place("solaris:own", promo_code="TEN"), command_id=ORDER.command, promo_code=TEN).happens()
        assert kinds(spec.when(resume(ORDER.order), at=T0 + HOUR).events) == [PromoUseCallRepeated]


class TestSilence:
    """A payment of which nothing is heard: the provider is asked."""

    @pytest.mark.parametrize("spec", [opened(), processing()])
    def test_the_provider_is_asked(self, spec: Spec) -> None:
        assert kinds(spec.when(resume(ORDER.payment), at=T0 + MINUTE / 2).events) == [PaymentFetchRequested]

    def test_and_then_asked_again_under_the_same_name(self) -> None:
        asked = opened().when(resume(ORDER.payment), at=T0).happens()
        calls = asked.when(resume(ORDER.payment), at=T0)
        calls.then_calls(
            FetchPayment(
                effect_id=ORDER.fetch(1), payment_id=ORDER.payment, provider="stripe", attempt=2, reference="page-1"
            )
        )


class TestTimers:
    """What is due is done, as if the engine had done it in time; what is not due is left alone."""

    def test_an_expired_payment_is_closed(self) -> None:
        after = T0 + POLICIES.payment_expiry + HOUR
        events = opened().when(resume(ORDER.payment), at=after).events
        assert kinds(events) == [PaymentFetchRequested, PaymentCloseRequested]

    def test_a_renewal_gets_the_ids_that_the_timer_would_have_given(self) -> None:
        spec = subscribed()
        held = subscription(spec)
        at = held.renew_at
        assert at is not None
        by_hand = spec.when(resume(held.id), at=at + HOUR, command_id="by hand")
        assert kinds(by_hand.events) == [OrderPlaced, PaymentCreated, RenewalAttempted]
        (timer,) = [timer for timer in spec.timers if isinstance(timer.data, RenewSubscription)]
        own_id = derive("ann", f"timer {timer.name}")
        by_itself = spec.when(timer.data, at=at + HOUR, command_id=own_id)
        assert by_hand.events == by_itself.events
        assert by_hand.events[0].order_id == OrderId(derive(own_id, "order"))
        by_hand.happens().when(timer.data, at=at + 2 * HOUR, command_id=own_id).then_nothing()
        assert kinds(by_hand.calls) == [ChargeMethod]

    def test_a_renewal_that_is_not_due_is_not_tried(self) -> None:
        spec = subscribed()
        spec.when(resume(subscription(spec).id), at=T0 + HOUR).then_nothing()

    def test_the_end_of_a_period(self) -> None:
        spec = due(subscribed(), subscription(subscribed()).period_end - 3 * DAY)
        failed = charge_answered(
            spec, AnswerStatus.DECLINED, at=subscription(spec).period_end - 3 * DAY, decline_reason="lost", hard=True
        )
        held = subscription(failed)
        events = failed.when(resume(held.id), at=held.period_end + HOUR).events
        assert kinds(events) == [SubscriptionGraceStarted]

    def test_access_whose_time_is_over(self) -> None:
        spec = bought("stalker:rent")
        assert kinds(spec.when(resume("film:stalker"), at=T0 + 3 * DAY).events) == [EntitlementEnded]
        spec.when(resume("film:stalker"), at=T0 + DAY).then_nothing()


class TestNothing:
    """Where nothing waits, nothing happens: the call is harmless."""

    def test_of_what_is_done(self) -> None:
        bought().when(resume(ORDER.payment), at=T0 + DAY).then_nothing()

    def test_of_what_nobody_knows(self) -> None:
        placed().when(resume("another"), at=T0 + DAY).then_nothing()

    def test_of_nobody(self) -> None:
        given().when(resume("anything")).then_nothing()

    def test_only_what_was_named(self) -> None:
        decision = placed().when(resume(ORDER.order), at=T0 + HOUR)
        decision.then_nothing()
        assert kinds(placed().when(resume(ORDER.payment)).calls) == [CreateCheckout]
