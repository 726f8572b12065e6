"""Payments: what webhooks and timers change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.effects import AnswerStatus, CreateCheckout, FetchPayment, ProviderAnswer
from domain.errors import PaymentUnknown, ReferenceMismatch
from domain.ids import EffectId
from domain.orders.events import OrderExpired
from domain.payments.commands import ExpirePayment, RepeatCall, SweepPayment
from domain.payments.events import (
    PaymentCallRepeated,
    PaymentCloseRequested,
    PaymentDeclined,
    PaymentExpired,
    PaymentFetchRequested,
    PaymentProcessing,
)
from domain.payments.state import CallKind, CloseReason
from domain.policies.settings import delay
from tests.domain.histories import (
    CLOSED,
    DECLINED,
    OPENED,
    PAGE,
    PROCESSING,
    REFUSED,
    UNKNOWN,
    answer,
    answered,
    bought,
    cancelled_early,
    cancelling,
    opened,
    paid,
    placed,
    processing,
    reported,
)
from tests.domain.spec import HOUR, MINUTE, ORDER, POLICIES, T0, given

SWEEP_AT = T0 + POLICIES.sweep_delays[0]
FIRST_REPEAT = POLICIES.call_repeat_delays[0]


def close_requested(reason: CloseReason, detail: str, **changed: Any) -> PaymentCloseRequested:
    request = PaymentCloseRequested(
        payment_id=ORDER.payment,
        reference=PAGE,
        reason=reason,
        detail=detail,
        effect_id=ORDER.close,
        requested_at=T0,
        repeat_at=T0 + FIRST_REPEAT,
    )
    return replace(request, **changed)


class TestReports:
    """Webhooks, verified by the API: early, late, twice, in any order."""

    def test_processing(self) -> None:
        opened().when(reported(PROCESSING)).then(
            PaymentProcessing(payment_id=ORDER.payment, order_id=ORDER.order, reference=PAGE, sweep_at=SWEEP_AT)
        ).when(reported(PROCESSING)).then_nothing()

    @pytest.mark.parametrize("told", [OPENED, answer(AnswerStatus.UNKNOWN)])
    def test_what_tells_nothing_new(self, told: ProviderAnswer) -> None:
        opened().when(reported(told)).then_nothing()

    def test_a_page_that_the_provider_closed(self) -> None:
        opened().when(reported(CLOSED)).then(
            PaymentExpired(payment_id=ORDER.payment, order_id=ORDER.order), OrderExpired(order_id=ORDER.order)
        )

    def test_a_decline_closes_the_page(self) -> None:
        declined = PaymentDeclined(payment_id=ORDER.payment, order_id=ORDER.order, decline_reason="insufficient_funds")
        request = close_requested(CloseReason.DECLINED, "insufficient_funds")
        opened().when(reported(DECLINED)).then(declined, request).when(reported(DECLINED)).then_nothing()

    def test_a_decline_that_does_not_name_its_page(self) -> None:
        nameless = ProviderAnswer(status=AnswerStatus.DECLINED)
        opened().when(reported(nameless)).then(
            PaymentDeclined(payment_id=ORDER.payment, order_id=ORDER.order, decline_reason="declined"),
            close_requested(CloseReason.DECLINED, "declined"),
        )

    @pytest.mark.parametrize("told", [OPENED, PROCESSING, DECLINED])
    def test_while_the_page_is_being_closed_only_its_end_counts(self, told: ProviderAnswer) -> None:
        cancelling().when(reported(told)).then_nothing()

    @pytest.mark.parametrize("told", [CLOSED, paid(), PROCESSING, DECLINED])
    def test_of_another_page(self, told: ProviderAnswer) -> None:
        other = replace(told, reference="page-of-somebody-else")
        opened().when(reported(other)).then_rejected(ReferenceMismatch, reference="page-of-somebody-else")

    def test_of_another_provider(self) -> None:
        opened().when(reported(paid(), provider="acme")).then_rejected(ReferenceMismatch)

    @pytest.mark.parametrize("told", [paid(), CLOSED, DECLINED, PROCESSING])
    def test_before_the_page_has_a_name(self, told: ProviderAnswer) -> None:
        """Nothing binds them to our payment yet; the answer to our call will, and the sweep asks again."""
        placed().when(reported(told)).then_rejected(ReferenceMismatch, reference=PAGE)
        cancelled_early().when(reported(paid())).then_rejected(ReferenceMismatch, reference=PAGE)

    def test_that_names_no_page(self) -> None:
        opened().when(reported(paid(reference=None))).then_rejected(ReferenceMismatch)
        opened().when(reported(REFUSED)).then_rejected(ReferenceMismatch)

    def test_of_a_payment_that_nobody_knows(self) -> None:
        given().when(reported(paid())).then_rejected(PaymentUnknown, payment_id=ORDER.payment)


class TestRepeats:
    """A call without an answer is made again, with the same effect id, for as long as it takes."""

    def test_the_call_is_made_again(self) -> None:
        repeat = RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=1)
        decision = placed().when(repeat, at=T0 + FIRST_REPEAT)
        decision.then(
            PaymentCallRepeated(
                payment_id=ORDER.payment,
                effect_id=ORDER.checkout,
                kind=CallKind.CREATE_CHECKOUT,
                attempt=2,
                repeat_at=T0 + FIRST_REPEAT + POLICIES.call_repeat_delays[1],
            )
        )
        decision.then_calls(
            CreateCheckout(
                effect_id=ORDER.checkout,
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                provider="stripe",
                attempt=2,
                amount=placed().account.payments[ORDER.payment].amount,
                description="Solaris",
                save_method=False,
                return_url=None,
                created_at=T0,
                expires_at=T0 + POLICIES.payment_expiry,
            )
        )

    def test_each_repeat_waits_longer_up_to_a_bound(self) -> None:
        spec, at = placed(), T0
        for attempt in range(1, 9):
            at += delay(POLICIES.call_repeat_delays, attempt)
            spec.then_waits_for({"RepeatCall": at, "ExpirePayment": T0 + POLICIES.payment_expiry})
            repeat = RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=attempt)
            spec = spec.when(repeat, at=at).happens()

    def test_an_answer_to_an_earlier_attempt_counts(self) -> None:
        repeat = RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=1)
        repeated = placed().when(repeat).happens()
        assert repeated.when(answered(ORDER.checkout, OPENED, attempt=1)).events

    @pytest.mark.parametrize(
        "repeat",
        [
            RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=2),
            RepeatCall(payment_id=ORDER.payment, effect_id=EffectId("another"), attempt=1),
        ],
    )
    def test_of_another_call_or_attempt(self, repeat: RepeatCall) -> None:
        placed().when(repeat).then_nothing()

    def test_of_a_call_that_was_answered(self) -> None:
        repeat = RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=1)
        for spec in (opened(), bought(), cancelling()):
            spec.when(repeat).then_nothing()

    def test_of_a_payment_that_nobody_knows(self) -> None:
        repeat = RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=1)
        given().when(repeat).then_rejected(PaymentUnknown)


class TestSweeps:
    """A payment that is silent is asked about: its webhook may have been lost."""

    def test_the_provider_is_asked(self) -> None:
        decision = opened().when(SweepPayment(payment_id=ORDER.payment, sweep=1), at=SWEEP_AT)
        decision.then(
            PaymentFetchRequested(
                payment_id=ORDER.payment,
                effect_id=ORDER.fetch(1),
                sweep=1,
                requested_at=SWEEP_AT,
                repeat_at=SWEEP_AT + FIRST_REPEAT,
            )
        )
        decision.then_calls(
            FetchPayment(
                effect_id=ORDER.fetch(1), payment_id=ORDER.payment, provider="stripe", attempt=1, reference=PAGE
            )
        )

    def test_again_and_again_with_longer_waits_up_to_a_bound(self) -> None:
        spec, at = opened(), T0
        for sweep in range(1, 8):
            at += delay(POLICIES.sweep_delays, sweep)
            spec.then_waits_for({"SweepPayment": at, "ExpirePayment": T0 + POLICIES.payment_expiry})
            spec = spec.when(SweepPayment(payment_id=ORDER.payment, sweep=sweep), at=at).happens()
            spec = spec.when(answered(ORDER.fetch(sweep), OPENED), at=at).happens()

    @pytest.mark.parametrize("sweep", [0, 2])
    def test_of_another_round(self, sweep: int) -> None:
        opened().when(SweepPayment(payment_id=ORDER.payment, sweep=sweep), at=SWEEP_AT).then_nothing()

    def test_while_a_call_is_open_or_after_the_end(self) -> None:
        sweep = SweepPayment(payment_id=ORDER.payment, sweep=1)
        asked = opened().when(sweep).happens()
        for spec in (placed(), cancelling(), bought(), asked):
            spec.when(sweep).then_nothing()

    def test_of_a_payment_that_nobody_knows(self) -> None:
        given().when(SweepPayment(payment_id=ORDER.payment, sweep=1)).then_rejected(PaymentUnknown)


class TestExpiry:
    EXPIRE = ExpirePayment(payment_id=ORDER.payment)
    END = T0 + POLICIES.payment_expiry

    def test_the_page_is_closed(self) -> None:
        opened().when(self.EXPIRE, at=self.END).then(
            close_requested(
                CloseReason.EXPIRED, "nobody paid in time", requested_at=self.END, repeat_at=self.END + FIRST_REPEAT
            )
        )

    def test_a_page_that_is_still_being_opened(self) -> None:
        expired = placed().when(self.EXPIRE, at=self.END).happens()
        expired.when(answered(ORDER.checkout, REFUSED), at=self.END).then(
            PaymentExpired(payment_id=ORDER.payment, order_id=ORDER.order), OrderExpired(order_id=ORDER.order)
        )

    def test_too_early(self) -> None:
        opened().when(self.EXPIRE, at=self.END - MINUTE).then_nothing()

    def test_of_what_is_being_closed_was_paid_or_has_ended(self) -> None:
        ended = cancelling().when(answered(ORDER.close, CLOSED)).happens()
        for spec in (cancelling(), bought(), ended):
            spec.when(self.EXPIRE, at=self.END + HOUR).then_nothing()

    def test_money_on_its_way_has_no_expiry(self) -> None:
        assert "ExpirePayment" not in {type(timer.data).__name__ for timer in processing().timers}

    def test_of_a_payment_that_nobody_knows(self) -> None:
        given().when(self.EXPIRE).then_rejected(PaymentUnknown)


def test_unknown_is_never_failed() -> None:
    """Whatever is asked: an unknown answer changes nothing, and the question stays open."""
    for spec, effect_id in (
        (placed(), ORDER.checkout),
        (cancelling(), ORDER.close),
        (opened().when(SweepPayment(payment_id=ORDER.payment, sweep=1)).happens(), ORDER.fetch(1)),
    ):
        spec.when(answered(effect_id, UNKNOWN)).then_nothing()
        assert "RepeatCall" in {type(timer.data).__name__ for timer in spec.timers}
