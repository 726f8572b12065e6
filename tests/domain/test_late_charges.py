"""A charge without an answer: asked for while it is wanted, closed from then on, and its money never kept unnoticed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.effects import AnswerStatus, ChargeMethod, CloseCheckout, FetchPayment, ProviderAnswer
from domain.errors import ReferenceMismatch
from domain.ids import EffectId, PriceId, derive
from domain.orders.events import OrderCancelled, OrderExpired
from domain.orders.state import OrderStatus
from domain.payments.commands import AnswerCall, ExpirePayment, RepeatCall, ReportPayment, SweepPayment
from domain.payments.events import (
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentExpired,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.payments.state import CallKind, CloseReason, Closing, PaymentStatus
from domain.records import replace
from domain.refunds.events import RefundRequested
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ChangePlan
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import ACCESS_END, FIRST, PLAN, charge, due, subscribed, subscription, until
from tests.domain.histories_of_renewals import charging
from tests.domain.spec import DAY, HOUR, MINUTE, POLICIES, T0, Decision, Spec, usd

CANCEL = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)


CHARGE = charge(charging())
LOOKS = POLICIES.lost_charge_delays
CLOSE = EffectId(derive(CHARGE.id, "close"))
REPEAT = RepeatCall(payment_id=CHARGE.id, effect_id=EffectId(derive(CHARGE.id, "charge")), attempt=1)


def closing(attempt: int = 1) -> CloseCheckout:
    """The provider is asked to find the charge by its customer, and to cancel it."""
    return CloseCheckout(
        effect_id=CLOSE,
        payment_id=CHARGE.id,
        provider="stripe",
        attempt=attempt,
        reference=None,
        customer_reference="cus_1",
    )


def requested(reason: CloseReason, detail: str, at: Any) -> PaymentCloseRequested:
    return PaymentCloseRequested(
        payment_id=CHARGE.id,
        reference=None,
        reason=reason,
        detail=detail,
        effect_id=CLOSE,
        requested_at=at,
        repeat_at=at + POLICIES.call_repeat_delays[0],
        is_charge=True,
    )


def answered(spec: Spec, status: AnswerStatus, *, at: Any, effect_id: EffectId = CLOSE) -> Decision:
    """The gateway tells of the charge."""
    is_found = status is not AnswerStatus.CLOSED
    told = ProviderAnswer(
        status=status,
        reference="ch_1" if is_found else None,
        amount=usd(999) if status is AnswerStatus.SUCCEEDED else None,
        confirmation_url="https://bank.example" if status is AnswerStatus.ACTION_REQUIRED else None,
    )
    return spec.when(AnswerCall(payment_id=CHARGE.id, effect_id=effect_id, attempt=1, answer=told), at=at)


def waits(spec: Spec) -> dict[str, datetime]:
    """What the charge waits for, and until when."""
    held = spec.account.payments[CHARGE.id]
    return {type(timer.data).__name__: timer.due_at for timer in spec.timers if timer.of is held}


class TestItsTime:
    """It may be made until the access ends that it is to prolong."""

    def test_within_it_the_charge_is_made_again(self) -> None:
        (call,) = charging().when(REPEAT, at=ACCESS_END - MINUTE).calls
        assert isinstance(call, ChargeMethod)
        assert call.expires_at == ACCESS_END

    @pytest.mark.parametrize("at", [ACCESS_END, T0 + 65 * DAY])
    def test_after_it_the_charge_is_closed(self, at: Any) -> None:
        decision = charging().when(REPEAT, at=at)
        decision.then(requested(CloseReason.EXPIRED, "nobody paid in time", at))
        decision.then_calls(closing())

    def test_the_end_of_its_time_closes_it(self) -> None:
        decision = charging().when(ExpirePayment(payment_id=CHARGE.id), at=ACCESS_END)
        decision.then(requested(CloseReason.EXPIRED, "nobody paid in time", ACCESS_END))
        decision.then_calls(closing())

    def test_a_gateway_whose_time_it_is_first_says_that_it_was_not_made(self) -> None:
        answered(charging(), AnswerStatus.CLOSED, at=ACCESS_END, effect_id=REPEAT.effect_id).then(
            PaymentExpired(payment_id=CHARGE.id, order_id=CHARGE.order_id, sweep_at=ACCESS_END + LOOKS[0]),
            OrderExpired(order_id=CHARGE.order_id),
        )

    def test_after_an_outage_of_65_days_nothing_is_charged(self) -> None:
        back = due(charging(), T0 + 65 * DAY)
        assert subscription(back).status is SubscriptionStatus.ENDED
        assert back.account.payments[CHARGE.id].call.kind is CallKind.CLOSE_CHECKOUT  # type: ignore[union-attr]
        over = answered(back, AnswerStatus.CLOSED, at=T0 + 65 * DAY).happens()
        assert over.account.payments[CHARGE.id].status is PaymentStatus.EXPIRED
        assert over.account.orders[CHARGE.order_id].status is OrderStatus.EXPIRED
        over.then_waits_for({"SweepPayment": T0 + 65 * DAY + LOOKS[0]})


class TestGivenUp:
    """The customer cancels at once while nobody answers: it is closed, and not charged any more."""

    AT = FIRST + MINUTE

    def cancelled(self) -> Spec:
        return charging().when(CANCEL, at=self.AT).happens()

    def test_the_provider_is_asked_to_close_it_at_once(self) -> None:
        assert closing() in charging().when(CANCEL, at=self.AT).calls
        self.cancelled().when(REPEAT, at=self.AT + HOUR).then_nothing()

    def test_what_is_asked_again_is_to_close_it(self) -> None:
        repeat = RepeatCall(payment_id=CHARGE.id, effect_id=CLOSE, attempt=1)
        self.cancelled().when(repeat, at=self.AT + MINUTE).then_calls(closing(attempt=2))
        later = until(self.cancelled(), FIRST + 2 * DAY)
        assert later.account.payments[CHARGE.id].call.attempt > 40  # type: ignore[union-attr]

    def test_it_was_not_made(self) -> None:
        over = answered(self.cancelled(), AnswerStatus.CLOSED, at=self.AT + MINUTE).then(
            PaymentCancelled(payment_id=CHARGE.id, order_id=CHARGE.order_id, sweep_at=self.AT + MINUTE + LOOKS[0]),
            OrderCancelled(order_id=CHARGE.order_id),
        )
        assert over.account.payments[CHARGE.id].call is None

    @pytest.mark.parametrize("effect_id", [CLOSE, REPEAT.effect_id])
    def test_it_was_made_and_goes_back(self, effect_id: EffectId) -> None:
        events = answered(self.cancelled(), AnswerStatus.SUCCEEDED, at=self.AT + MINUTE, effect_id=effect_id).events
        assert [type(event) for event in events] == [PaymentSucceeded, OrderCancelled, RefundRequested]
        assert events[-1].amount == usd(999)

    def test_the_bank_wants_the_customer_the_close_finds_it(self) -> None:
        answered(
            self.cancelled(), AnswerStatus.ACTION_REQUIRED, at=self.AT + MINUTE, effect_id=REPEAT.effect_id
        ).then_nothing()

    def test_an_account_as_earlier_versions_left_it(self) -> None:
        """They kept the charge open, and made it again, when it was to be closed before it had a name."""
        spec = charging()
        held = spec.account.payments[CHARGE.id]
        phase = Closing(reference=None, reason=CloseReason.CANCELLED, detail="why", before=held.status)
        account = replace(spec.account, payments={**spec.account.payments, held.id: replace(held, phase=phase)})
        decision = Spec(account, ()).when(REPEAT, at=self.AT)
        decision.then(requested(CloseReason.CANCELLED, "why", self.AT))
        decision.then_calls(closing())

    def test_a_change_of_plan_that_came_to_nothing(self) -> None:
        change = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.NOW, provider="x")
        changing = subscribed().when(change, at=T0 + DAY, command_id="change").happens()
        (payment,) = (each for each in changing.account.payments.values() if each.method is not None)
        assert payment.call is not None
        repeat = RepeatCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1)
        assert [type(call) for call in changing.when(repeat, at=T0 + DAY + MINUTE).calls] == [ChargeMethod]
        ended = changing.when(CANCEL, at=T0 + DAY + MINUTE).happens()
        assert [type(call) for call in ended.when(repeat, at=T0 + DAY + HOUR / 2).calls] == [CloseCheckout]


class TestLookedForAgain:
    """The provider did not know it when it was closed; a call may have been under way all the same."""

    CLOSED_AT = FIRST + 2 * MINUTE
    LOOK = EffectId(derive(CHARGE.id, "fetch 1"))

    def over(self) -> Spec:
        cancelled = charging().when(CANCEL, at=FIRST + MINUTE).happens()
        return answered(cancelled, AnswerStatus.CLOSED, at=self.CLOSED_AT).happens()

    def looking(self) -> Spec:
        return self.over().when(SweepPayment(payment_id=CHARGE.id, sweep=1), at=self.CLOSED_AT + HOUR).happens()

    def test_its_customer_s_charges_are_looked_through_after_an_hour(self) -> None:
        assert waits(self.over()) == {"SweepPayment": self.CLOSED_AT + HOUR}
        self.over().when(SweepPayment(payment_id=CHARGE.id, sweep=1), at=self.CLOSED_AT + HOUR).then_calls(
            FetchPayment(
                effect_id=self.LOOK,
                payment_id=CHARGE.id,
                provider="stripe",
                attempt=1,
                reference=None,
                customer_reference="cus_1",
            )
        )

    @pytest.mark.parametrize("status", [AnswerStatus.CLOSED, AnswerStatus.PROCESSING, AnswerStatus.ACTION_REQUIRED])
    def test_after_a_day_and_then_no_more(self, status: AnswerStatus) -> None:
        at = self.CLOSED_AT + HOUR
        once = answered(self.looking(), status, at=at, effect_id=self.LOOK).then(
            PaymentUnchanged(payment_id=CHARGE.id, effect_id=self.LOOK, sweep_at=at + DAY)
        )
        again = once.when(SweepPayment(payment_id=CHARGE.id, sweep=2), at=at + DAY).happens()
        second = EffectId(derive(CHARGE.id, "fetch 2"))
        over = answered(again, AnswerStatus.CLOSED, at=at + DAY, effect_id=second).happens()
        assert waits(over) == {}
        assert over.account.payments[CHARGE.id].status is PaymentStatus.CANCELLED

    def test_while_nobody_answers_it_is_asked_again(self) -> None:
        at = self.CLOSED_AT + HOUR
        asked = answered(self.looking(), AnswerStatus.UNKNOWN, at=at, effect_id=self.LOOK).then_nothing()
        assert waits(asked) == {"RepeatCall": at + POLICIES.call_repeat_delays[0]}

    def test_its_money_goes_back(self) -> None:
        found = answered(self.looking(), AnswerStatus.SUCCEEDED, at=self.CLOSED_AT + HOUR, effect_id=self.LOOK)
        assert [type(event) for event in found.events] == [PaymentSucceeded, RefundRequested]
        assert found.happens().account.payments[CHARGE.id].sweep_at is None

    def test_a_webhook_that_comes_first_ends_the_search(self) -> None:
        answer = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(999))
        told = ReportPayment(payment_id=CHARGE.id, provider="stripe", report_id="evt_1", answer=answer)
        paid = self.looking().when(told, at=self.CLOSED_AT + HOUR).happens()
        again = answered(paid, AnswerStatus.SUCCEEDED, at=self.CLOSED_AT + HOUR, effect_id=self.LOOK)
        assert [event for event in again.events if isinstance(event, PaymentSucceeded | RefundRequested)] == []

    def test_one_that_the_provider_named_is_not_looked_for(self) -> None:
        known = answered(charging(), AnswerStatus.DECLINED, at=FIRST + MINUTE, effect_id=REPEAT.effect_id).happens()
        assert known.account.payments[CHARGE.id].sweep_at is None


class TestMoneyThatCameAllTheSame:
    """A call that was under way when the provider found nothing may still be carried out: its webhook tells."""

    def told(self, reference: str = "ch_1") -> ReportPayment:
        answer = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference=reference, amount=usd(999))
        return ReportPayment(payment_id=CHARGE.id, provider="stripe", report_id="evt_1", answer=answer)

    @pytest.mark.parametrize("is_over", [False, True])
    def test_after_it_was_given_up_it_goes_back(self, is_over: bool) -> None:  # noqa: FBT001
        spec = charging().when(CANCEL, at=FIRST + MINUTE).happens()
        if is_over:
            spec = answered(spec, AnswerStatus.CLOSED, at=FIRST + MINUTE).happens()
        events = spec.when(self.told(), at=FIRST + 2 * MINUTE).events
        assert {type(event) for event in events} - {OrderCancelled} == {PaymentSucceeded, RefundRequested}
        spec.when(self.told(), at=FIRST + 2 * MINUTE).happens().when(self.told(), at=FIRST + HOUR).then_nothing()

    def test_after_the_access_it_buys_time_from_now_on(self) -> None:
        at = ACCESS_END + timedelta(seconds=1)
        over = answered(due(charging(), ACCESS_END), AnswerStatus.CLOSED, at=ACCESS_END).happens()
        spec = over.when(self.told(), at=at).happens()
        assert subscription(spec).period_start == at

    def test_by_another_name_than_its_own_it_is_nobodys(self) -> None:
        paid = answered(charging(), AnswerStatus.ACTION_REQUIRED, at=FIRST, effect_id=REPEAT.effect_id).happens()
        paid.when(self.told("ch_2"), at=FIRST + MINUTE).then_rejected(ReferenceMismatch)
