"""Payments: what the provider's answers change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.effects import AnswerStatus, CloseCheckout, ProviderAnswer
from domain.entitlements.events import EntitlementGranted
from domain.errors import PaidAmountMismatch, PaymentUnknown, ReferenceMismatch
from domain.ids import EffectId, Resource
from domain.money import Money
from domain.orders.commands import CancelOrder
from domain.orders.events import OrderCancelled, OrderExpired, OrderFailed, OrderFulfilled, OrderPaid
from domain.payments.commands import ExpirePayment, SweepPayment
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentDeclined,
    PaymentExpired,
    PaymentFailed,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.payments.state import CloseReason
from tests.domain.histories import (
    CLOSED,
    DECLINED,
    OPENED,
    PAGE,
    PROCESSING,
    REFUSED,
    UNKNOWN,
    URL,
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
from tests.domain.spec import HOUR, MINUTE, ORDER, POLICIES, SECOND, T0, Spec, given, usd

SWEEP_AT = T0 + POLICIES.sweep_delays[0]
FIRST_REPEAT = POLICIES.call_repeat_delays[0]

SUCCEEDED = PaymentSucceeded(
    payment_id=ORDER.payment,
    order_id=ORDER.order,
    amount=usd(999),
    provider="stripe",
    reference=PAGE,
    paid_at=T0,
    customer_reference=None,
    method_reference=None,
    method_label=None,
)
FILM_GIVEN = (
    SUCCEEDED,
    OrderPaid(order_id=ORDER.order, payment_id=ORDER.payment, paid_at=T0),
    EntitlementGranted(
        resource=Resource("film:solaris"), until=None, reason="purchase", order_id=ORDER.order, subscription_id=None
    ),
    OrderFulfilled(order_id=ORDER.order),
)
CANCELLED = (
    PaymentCancelled(payment_id=ORDER.payment, order_id=ORDER.order),
    OrderCancelled(order_id=ORDER.order),
)
EXPIRED = (PaymentExpired(payment_id=ORDER.payment, order_id=ORDER.order), OrderExpired(order_id=ORDER.order))


def failed(reason: str) -> tuple[PaymentFailed, OrderFailed]:
    return (
        PaymentFailed(payment_id=ORDER.payment, order_id=ORDER.order, reason=reason),
        OrderFailed(order_id=ORDER.order, reason=reason),
    )


def close_requested(reason: CloseReason, detail: str, reference: str | None = PAGE) -> PaymentCloseRequested:
    return PaymentCloseRequested(
        payment_id=ORDER.payment,
        reference=reference,
        reason=reason,
        detail=detail,
        effect_id=ORDER.close,
        requested_at=T0,
        repeat_at=T0 + FIRST_REPEAT,
    )


def swept(spec: Spec) -> Spec:
    """The provider is being asked about the payment for the first time."""
    return spec.when(SweepPayment(payment_id=ORDER.payment, sweep=1), at=SWEEP_AT).happens()


class TestTheCallThatOpensThePage:
    def test_the_page_is_open(self) -> None:
        placed().when(answered(ORDER.checkout, OPENED)).then(
            PaymentActionRequired(
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                reference=PAGE,
                confirmation_url=URL,
                sweep_at=SWEEP_AT,
            )
        )

    def test_the_same_answer_again_changes_nothing(self) -> None:
        opened().when(answered(ORDER.checkout, OPENED, attempt=2)).then_nothing()

    def test_an_answer_to_a_call_that_was_not_made_changes_nothing(self) -> None:
        placed().when(answered(EffectId("another"), OPENED)).then_nothing()

    def test_an_unknown_answer_leaves_the_call_open(self) -> None:
        placed().when(answered(ORDER.checkout, UNKNOWN)).then_nothing()

    def test_an_answer_that_names_no_page_leaves_the_call_open(self) -> None:
        nameless = ProviderAnswer(status=AnswerStatus.ACTION_REQUIRED, confirmation_url=URL)
        placed().when(answered(ORDER.checkout, nameless)).then_nothing()
        placed().when(answered(ORDER.checkout, answer(AnswerStatus.ACTION_REQUIRED))).then_nothing()
        placed().when(answered(ORDER.checkout, ProviderAnswer(status=AnswerStatus.PROCESSING))).then_nothing()

    def test_the_provider_refuses(self) -> None:
        placed().when(answered(ORDER.checkout, REFUSED)).then(*failed("amount too small"))

    def test_the_provider_refuses_without_a_word(self) -> None:
        wordless = ProviderAnswer(status=AnswerStatus.REFUSED)
        placed().when(answered(ORDER.checkout, wordless)).then(*failed("the provider refused the request"))

    def test_the_money_is_on_its_way_at_once(self) -> None:
        placed().when(answered(ORDER.checkout, PROCESSING)).then(
            PaymentProcessing(payment_id=ORDER.payment, order_id=ORDER.order, reference=PAGE, sweep_at=SWEEP_AT)
        )

    def test_the_money_is_there_at_once(self) -> None:
        placed().when(answered(ORDER.checkout, paid())).then(*FILM_GIVEN)

    def test_a_page_that_is_found_after_a_decline_is_closed_by_its_name(self) -> None:
        placed().when(answered(ORDER.checkout, DECLINED)).then(
            PaymentDeclined(payment_id=ORDER.payment, order_id=ORDER.order, decline_reason="insufficient_funds"),
            close_requested(CloseReason.DECLINED, "insufficient_funds"),
        )

    def test_a_page_that_is_found_closed_ends_the_payment(self) -> None:
        placed().when(answered(ORDER.checkout, CLOSED)).then(*EXPIRED)


class TestTheMoney:
    def test_it_gives_what_was_bought(self) -> None:
        opened().when(reported(paid())).then(*FILM_GIVEN)

    def test_it_is_known_from_any_answer(self) -> None:
        swept(opened()).when(answered(ORDER.fetch(1), paid())).then(*FILM_GIVEN)
        cancelling().when(answered(ORDER.close, paid())).then(*FILM_GIVEN)
        processing().when(reported(paid())).then(*FILM_GIVEN)

    def test_it_counts_even_when_the_call_is_no_longer_open(self) -> None:
        opened().when(answered(ORDER.fetch(7), paid())).then(*FILM_GIVEN)

    def test_a_second_word_of_it_changes_nothing(self) -> None:
        bought().when(reported(paid())).then_nothing()
        bought().when(answered(ORDER.checkout, paid())).then_nothing()

    def test_names_of_the_saved_method_are_kept(self) -> None:
        told = paid(customer_reference="cus_1", method_reference="pm_1", method_label="visa •••• 4242")
        succeeded = opened().when(reported(told)).events[0]
        assert (succeeded.customer_reference, succeeded.method_reference) == ("cus_1", "pm_1")
        assert succeeded.method_label == "visa •••• 4242"

    def test_of_another_amount(self) -> None:
        opened().when(reported(paid(usd(1)))).then_rejected(
            PaidAmountMismatch, agreed_amount="999", paid_amount="1", paid_currency="USD"
        )

    def test_of_another_currency(self) -> None:
        euros = Money(amount=999, currency="EUR")
        opened().when(answered(ORDER.fetch(1), paid(euros))).then_rejected(PaidAmountMismatch, paid_currency="EUR")

    def test_of_no_amount(self) -> None:
        nothing = answer(AnswerStatus.SUCCEEDED)
        opened().when(reported(nothing)).then_rejected(PaidAmountMismatch, paid_amount="0", paid_currency="")

    def test_for_another_page(self) -> None:
        other = paid(reference="page-of-somebody-else")
        opened().when(answered(ORDER.checkout, other)).then_rejected(
            ReferenceMismatch, reference="page-of-somebody-else"
        )

    def test_for_no_page(self) -> None:
        opened().when(answered(ORDER.checkout, paid(reference=None))).then_rejected(ReferenceMismatch)

    def test_for_a_payment_of_another_account(self) -> None:
        told = answered(SECOND.checkout, paid(), ids=SECOND)
        opened().when(told).then_rejected(PaymentUnknown, payment_id=SECOND.payment)


class TestTheQuestionHowItStands:
    @pytest.mark.parametrize("told", [OPENED, REFUSED])
    def test_nothing_new(self, told: ProviderAnswer) -> None:
        swept(opened()).when(answered(ORDER.fetch(1), told), at=SWEEP_AT).then(
            PaymentUnchanged(
                payment_id=ORDER.payment,
                effect_id=ORDER.fetch(1),
                sweep_at=SWEEP_AT + POLICIES.sweep_delays[1],
            )
        )

    def test_still_on_its_way(self) -> None:
        events = swept(processing()).when(answered(ORDER.fetch(1), PROCESSING)).events
        assert [type(event) for event in events] == [PaymentUnchanged]

    def test_on_its_way_now(self) -> None:
        events = swept(opened()).when(answered(ORDER.fetch(1), PROCESSING)).events
        assert [type(event) for event in events] == [PaymentProcessing]

    def test_closed_by_the_provider(self) -> None:
        swept(opened()).when(answered(ORDER.fetch(1), CLOSED)).then(*EXPIRED)

    def test_declined(self) -> None:
        swept(processing()).when(answered(ORDER.fetch(1), DECLINED)).then(
            PaymentDeclined(payment_id=ORDER.payment, order_id=ORDER.order, decline_reason="insufficient_funds"),
            close_requested(CloseReason.DECLINED, "insufficient_funds"),
        )

    def test_unknown(self) -> None:
        swept(opened()).when(answered(ORDER.fetch(1), UNKNOWN)).then_nothing()

    def test_an_answer_that_comes_after_the_next_question_changes_nothing(self) -> None:
        second = (
            swept(opened())
            .when(answered(ORDER.fetch(1), OPENED), at=SWEEP_AT)
            .happens()
            .when(SweepPayment(payment_id=ORDER.payment, sweep=2), at=SWEEP_AT + 5 * MINUTE)
            .happens()
        )
        second.when(answered(ORDER.fetch(1), CLOSED)).then_nothing()


class TestClosing:
    def test_ends_as_it_was_meant(self) -> None:
        cancelling().when(answered(ORDER.close, CLOSED)).then(*CANCELLED)
        expiring = opened().when(ExpirePayment(payment_id=ORDER.payment), at=T0 + 24 * HOUR).happens()
        expiring.when(answered(ORDER.close, CLOSED)).then(*EXPIRED)
        declined = opened().when(reported(DECLINED)).happens()
        declined.when(answered(ORDER.close, CLOSED)).then(*failed("insufficient_funds"))

    @pytest.mark.parametrize("told", [UNKNOWN, OPENED, PROCESSING, DECLINED, REFUSED])
    def test_only_a_page_that_can_no_longer_be_paid_ends_it(self, told: ProviderAnswer) -> None:
        cancelling().when(answered(ORDER.close, told)).then_nothing()

    def test_an_answer_to_the_question_before_changes_nothing(self) -> None:
        closing = swept(opened()).when(CancelOrder(order_id=ORDER.order)).happens()
        closing.when(answered(ORDER.fetch(1), CLOSED)).then_nothing()

    @pytest.mark.parametrize("told", [OPENED, PROCESSING, DECLINED])
    def test_a_page_that_was_opened_meanwhile_is_closed_by_its_name(self, told: ProviderAnswer) -> None:
        decision = cancelled_early().when(answered(ORDER.checkout, told))
        decision.then(close_requested(CloseReason.CANCELLED, "cancelled by the customer"))
        decision.then_calls(
            CloseCheckout(effect_id=ORDER.close, payment_id=ORDER.payment, provider="stripe", attempt=1, reference=PAGE)
        ).when(answered(ORDER.close, CLOSED)).then(*CANCELLED)

    @pytest.mark.parametrize("told", [REFUSED, CLOSED])
    def test_a_page_that_was_never_opened_ends_it(self, told: ProviderAnswer) -> None:
        cancelled_early().when(answered(ORDER.checkout, told)).then(*CANCELLED)

    def test_whether_it_was_opened_is_not_known(self) -> None:
        cancelled_early().when(answered(ORDER.checkout, UNKNOWN)).then_nothing()
        nameless = ProviderAnswer(status=AnswerStatus.PROCESSING)
        cancelled_early().when(answered(ORDER.checkout, nameless)).then_nothing()

    def test_it_was_opened_and_paid_meanwhile(self) -> None:
        cancelled_early().when(answered(ORDER.checkout, paid())).then(*FILM_GIVEN)

    @pytest.mark.parametrize("told", [UNKNOWN, OPENED, PROCESSING, DECLINED, CLOSED, REFUSED])
    def test_after_the_end_nothing_but_money_counts(self, told: ProviderAnswer) -> None:
        ended = cancelling().when(answered(ORDER.close, CLOSED)).happens()
        ended.when(answered(ORDER.close, told)).then_nothing()
        bought().when(answered(ORDER.checkout, told)).then_nothing()
        webhook = reported(replace(told, reference=PAGE))
        ended.when(webhook).then_nothing()
        bought().when(webhook).then_nothing()


def test_an_answer_about_a_payment_that_nobody_knows() -> None:
    given().when(answered(ORDER.checkout, OPENED)).then_rejected(PaymentUnknown, payment_id=ORDER.payment)
