"""Refunds: who may have how much back, never more than was paid, and what becomes of the access."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus, RefundPayment
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import (
    NothingToRefund,
    PaymentNotRefundable,
    PaymentUnknown,
    RefundAmountInvalid,
    RefundExceedsPayment,
    RefundUnknown,
)
from domain.ids import EffectId, PaymentId, RefundId, Resource, derive
from domain.payments.commands import ReportPayment
from domain.payments.state import PaymentStatus
from domain.policies.settings import Policies
from domain.refunds.commands import AnswerRefund, RepeatRefund, RequestRefund, SweepRefund
from domain.refunds.events import (
    RefundCallRepeated,
    RefundFailed,
    RefundRequested,
    RefundSubmitted,
    RefundSucceeded,
)
from domain.refunds.state import RefundedBy, RefundStatus
from domain.subscriptions.commands import CancelAt, CancelSubscription, ResumeSubscription
from domain.subscriptions.events import SubscriptionEnded, SubscriptionShortened
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    END,
    FILM,
    MIDDLE,
    PAGE,
    PLAN,
    ROLE,
    bought,
    bought_too,
    charge,
    charge_answered,
    opened,
    paid_period,
    refund,
    refund_answer,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, SECOND, T0, Ids, Spec, given, usd

WINDOW = T0 + POLICIES.refund_window
REFUND = RefundId(derive("refund 1", f"refund {ORDER.payment}"))
CALL = EffectId(derive(REFUND, "refund"))
SUCCEEDED = RefundAnswerStatus.SUCCEEDED
FAILED = RefundAnswerStatus.FAILED


def ask(amount: int | None = None, *, ids: Ids = ORDER, by_manager: bool = False) -> RequestRefund:
    return RequestRefund(payment_id=ids.payment, amount=amount, by_manager=by_manager)


def asked(
    spec: Spec, amount: int | None = None, *, at: datetime = T0, name: str = "refund 1", by_manager: bool = False
) -> Spec:
    return spec.when(ask(amount, by_manager=by_manager), at=at, command_id=name).happens()


def given_back(spec: Spec, *, at: datetime = T0) -> Spec:
    """The provider gives back whatever was asked for."""
    for each in tuple(spec.account.refunds.values()):
        if each.call is not None:
            spec = spec.when(refund_answer(each, SUCCEEDED), at=at).happens()
    return spec


class TestByTheCustomer:
    def test_all_of_it_within_the_window(self) -> None:
        decision = bought().when(ask(), at=WINDOW, command_id="refund 1")
        decision.then(
            RefundRequested(
                refund_id=REFUND,
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                provider="stripe",
                payment_reference=PAGE,
                amount=usd(999),
                reason="requested by the customer",
                rule="within the refund window",
                requested_by=RefundedBy.CUSTOMER,
                ends_access=True,
                effect_id=CALL,
                requested_at=WINDOW,
                repeat_at=WINDOW + POLICIES.call_repeat_delays[0],
            )
        )
        decision.then_calls(
            RefundPayment(
                effect_id=CALL,
                refund_id=REFUND,
                payment_id=ORDER.payment,
                provider="stripe",
                attempt=1,
                payment_reference=PAGE,
                amount=usd(999),
                reference=None,
                requested_at=WINDOW,
            )
        )

    def test_a_film_after_the_window(self) -> None:
        bought().when(ask(), at=WINDOW + timedelta(seconds=1)).then_rejected(NothingToRefund)

    def test_the_unused_part_of_a_period_after_the_window(self) -> None:
        spec = asked(subscribed(), at=MIDDLE)
        assert (refund(spec).amount, refund(spec).ends_access) == (usd(499), True)
        subscribed().when(ask(), at=END).then_rejected(NothingToRefund)

    def test_by_setting_nothing_after_the_window(self) -> None:
        strict = Policies(refund_unused=False)
        subscribed(under={"policies": strict}).when(ask(), at=MIDDLE).then_rejected(NothingToRefund)

    def test_all_of_what_was_paid_ahead(self) -> None:
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        spec = ahead.when(ask(ids=SECOND), at=MIDDLE).happens()
        assert refund(spec).amount == usd(999)
        first = ahead.when(ask(), at=MIDDLE).happens()
        assert refund(first).amount == usd(499)

    def test_the_unused_part_of_an_order_with_a_film(self) -> None:
        spec = bought("solaris:own", "cinema:month")
        assert refund(asked(spec, at=MIDDLE)).amount == usd(499)

    def test_the_unused_part_once(self) -> None:
        """A second request while the first is under way, or after it, finds nothing left of it."""
        under_way = asked(subscribed(), at=MIDDLE)
        under_way.when(ask(), at=MIDDLE, command_id="refund 2").then_rejected(NothingToRefund)
        under_way.when(ask(1), at=MIDDLE, command_id="refund 2").then_rejected(NothingToRefund)
        given_back(under_way, at=MIDDLE).when(ask(), at=MIDDLE, command_id="refund 2").then_rejected(NothingToRefund)
        cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
        assert len(under_way.when(cancel, at=MIDDLE).happens().account.refunds) == 1


class TestByAManager:
    def test_any_amount_at_any_time(self) -> None:
        late = T0 + 300 * DAY
        spec = asked(bought(), 998, at=late, by_manager=True)
        assert (refund(spec).amount, refund(spec).requested_by) == (usd(998), RefundedBy.MANAGER)
        spec.when(ask(by_manager=True), at=late, command_id="refund 2").happens()
        spec.when(ask(2, by_manager=True), at=late, command_id="refund 2").then_rejected(
            RefundExceedsPayment, amount="2", left_amount="1"
        )


class TestTheSumIsNeverExceeded:
    def test_two_of_sixty_from_a_hundred(self) -> None:
        spec, again = asked(bought(), 600, by_manager=True), ask(600, by_manager=True)
        spec.when(again, command_id="refund 2").then_rejected(RefundExceedsPayment, left_amount="399")
        given_back(spec).when(again, command_id="refund 2").then_rejected(RefundExceedsPayment, left_amount="399")

    def test_three_at_once(self) -> None:
        spec = asked(bought())
        for number in (2, 3):
            spec.when(ask(), command_id=f"refund {number}").then_rejected(NothingToRefund, payment_id=ORDER.payment)
        assert given_back(spec).account.payments[ORDER.payment].status is PaymentStatus.REFUNDED

    def test_what_the_provider_refused_may_be_asked_for_again(self) -> None:
        spec = asked(bought())
        spec = spec.when(refund_answer(refund(spec), FAILED, detail="account closed")).happens()
        assert spec.account.payments[ORDER.payment].refunding == 0
        assert len(asked(spec, name="refund 2").account.refunds) == 2

    def test_partly_and_then_wholly(self) -> None:
        spec = given_back(asked(bought(), 400, by_manager=True))
        assert spec.account.payments[ORDER.payment].status is PaymentStatus.PARTIALLY_REFUNDED
        spec = given_back(asked(spec, name="refund 2"))
        assert spec.account.payments[ORDER.payment].status is PaymentStatus.REFUNDED
        assert spec.account.payments[ORDER.payment].refunded == 999


class TestWhatCannotBe:
    @pytest.mark.parametrize("amount", [0, -1])
    def test_an_amount_that_makes_no_sense(self, amount: int) -> None:
        bought().when(ask(amount)).then_rejected(RefundAmountInvalid, amount=str(amount))
        bought().when(ask(amount, by_manager=True)).then_rejected(RefundAmountInvalid)

    def test_more_than_was_paid(self) -> None:
        bought().when(ask(1000)).then_rejected(RefundExceedsPayment, amount="1000", left_amount="999")

    def test_a_payment_that_was_not_paid(self) -> None:
        opened().when(ask()).then_rejected(PaymentNotRefundable, status="action_required")
        opened().when(ask(by_manager=True)).then_rejected(PaymentNotRefundable)

    def test_nobodys_payment(self) -> None:
        given().when(RequestRefund(payment_id=PaymentId("x"))).then_rejected(PaymentUnknown, payment_id="x")

    def test_nobodys_refund(self) -> None:
        told = RefundAnswer(status=SUCCEEDED, reference="re_1")
        for data in (
            AnswerRefund(refund_id=RefundId("x"), effect_id=None, attempt=1, answer=told),
            RepeatRefund(refund_id=RefundId("x"), effect_id=CALL, attempt=1),
            SweepRefund(refund_id=RefundId("x"), sweep=1),
        ):
            bought().when(data).then_rejected(RefundUnknown, refund_id="x")


class TestWhatTheProviderSays:
    def test_succeeded_once(self) -> None:
        spec = asked(bought(), 300, by_manager=True)
        told = refund_answer(refund(spec), SUCCEEDED)
        spec.when(told).then(
            RefundSucceeded(
                refund_id=REFUND,
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                amount=usd(300),
                reference=f"refund {REFUND}",
            )
        ).when(told).then_nothing()

    def test_failed_leaves_access_and_books_as_they_were(self) -> None:
        spec = asked(bought())
        told = refund_answer(refund(spec), FAILED, detail="account closed")
        after = spec.when(told).then(
            RefundFailed(
                refund_id=REFUND,
                payment_id=ORDER.payment,
                amount=usd(999),
                reason="account closed",
                reference=f"refund {REFUND}",
            )
        )
        assert after.account.entitlements[FILM].until is None
        assert after.account.payments[ORDER.payment].status is PaymentStatus.SUCCEEDED
        after.when(told).then_nothing()
        after.then_waits_for({})

    def test_pending_is_asked_about_until_it_ends(self) -> None:
        spec = asked(bought(), at=T0)
        told = refund_answer(refund(spec), RefundAnswerStatus.PENDING, reference="re_1")
        sweep_at = T0 + POLICIES.sweep_delays[0]
        pending = spec.when(told).then(
            RefundSubmitted(refund_id=REFUND, payment_id=ORDER.payment, reference="re_1", sweep_at=sweep_at)
        )
        assert refund(pending).status is RefundStatus.SUBMITTED
        pending.then_waits_for({"SweepRefund": sweep_at})
        swept = pending.when(SweepRefund(refund_id=REFUND, sweep=1), at=sweep_at)
        question = EffectId(derive(REFUND, "sweep 1"))
        swept.then_calls(
            RefundPayment(
                effect_id=question,
                refund_id=REFUND,
                payment_id=ORDER.payment,
                provider="stripe",
                attempt=1,
                payment_reference=PAGE,
                amount=usd(999),
                reference="re_1",
                requested_at=T0,
            )
        )
        asking = swept.happens()
        asking.when(SweepRefund(refund_id=REFUND, sweep=1), at=sweep_at).then_nothing()
        done = AnswerRefund(
            refund_id=REFUND, effect_id=question, attempt=1, answer=RefundAnswer(status=SUCCEEDED, reference="re_1")
        )
        assert asking.when(done, at=sweep_at).happens().account.payments[ORDER.payment].refunded == 999

    def test_pending_without_a_name_changes_nothing(self) -> None:
        spec = asked(bought())
        spec.when(refund_answer(refund(spec), RefundAnswerStatus.PENDING, reference=None)).then_nothing()

    def test_unknown_is_asked_again_with_the_same_id(self) -> None:
        spec = asked(bought())
        spec.when(refund_answer(refund(spec), RefundAnswerStatus.UNKNOWN)).then_nothing()
        at = T0 + POLICIES.call_repeat_delays[0]
        repeat = RepeatRefund(refund_id=REFUND, effect_id=CALL, attempt=1)
        spec.then_waits_for({"RepeatRefund": at})
        repeated = spec.when(repeat, at=at).then(
            RefundCallRepeated(
                refund_id=REFUND,
                effect_id=CALL,
                attempt=2,
                sweeps=0,
                asked_at=at,
                repeat_at=at + POLICIES.call_repeat_delays[1],
            )
        )
        repeated.when(repeat, at=at).then_nothing()

    def test_a_webhook_tells_before_the_answer(self) -> None:
        spec = asked(bought())
        told = AnswerRefund(
            refund_id=REFUND, effect_id=None, attempt=0, answer=RefundAnswer(status=SUCCEEDED, reference="re_1")
        )
        assert refund(spec.when(told).happens()).status is RefundStatus.SUCCEEDED


class TestTheAccessThatWasPaidBack:
    def test_a_film(self) -> None:
        spec = asked(bought())
        after = spec.when(refund_answer(refund(spec), SUCCEEDED), at=T0 + HOUR)
        assert after.events[-1] == EntitlementEnded(resource=FILM, ended_at=T0 + HOUR)

    def test_two_parts_that_make_the_whole_do(self) -> None:
        spec = given_back(asked(given_back(asked(bought(), 998, by_manager=True)), 1, name="refund 2"))
        assert spec.account.entitlements == {}

    def test_the_running_period(self) -> None:
        spec = asked(subscribed(), at=MIDDLE)
        after = spec.when(refund_answer(refund(spec), SUCCEEDED), at=MIDDLE + HOUR)
        assert after.events[1:] == (
            SubscriptionEnded(subscription_id=PLAN, ended_at=MIDDLE + HOUR),
            EntitlementEnded(resource=ROLE, ended_at=MIDDLE + HOUR),
        )
        after.happens().then_waits_for({})

    def test_a_period_that_was_paid_ahead(self) -> None:
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        spec = ahead.when(ask(ids=SECOND), at=T0 + DAY, command_id="refund 1").happens()
        after = spec.when(refund_answer(refund(spec), SUCCEEDED), at=MIDDLE)
        paid = (paid_period(ORDER, T0, END),)
        assert after.events[1:] == (
            SubscriptionShortened(
                subscription_id=PLAN, order_id=SECOND.order, anchor=T0, units=1, paid=paid, period_end=END
            ),
            EntitlementGranted(
                resource=ROLE, until=END, reason="subscription", order_id=ORDER.order, subscription_id=PLAN
            ),
        )
        shortened = after.happens()
        assert not subscription(shortened).auto_renew
        resumed = until(shortened.when(ResumeSubscription(subscription_id=PLAN), at=MIDDLE).happens(), END - 3 * DAY)
        renewed = charge_answered(resumed, AnswerStatus.SUCCEEDED, at=END - 3 * DAY)
        assert subscription(renewed).period_end == datetime(2030, 3, 31, 12, 30, tzinfo=UTC)

    def test_the_running_period_when_another_is_paid_ahead(self) -> None:
        """What the other order paid moves up; no second of it is lost."""
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        spec = given_back(asked(ahead, at=MIDDLE), at=MIDDLE)
        held = subscription(spec)
        length = datetime(2030, 3, 31, 12, 30, tzinfo=UTC) - END
        assert held.paid == (paid_period(SECOND, MIDDLE, MIDDLE + length),)
        assert held.period_end == MIDDLE + length
        assert spec.account.entitlements[ROLE].until == MIDDLE + length
        over = until(spec, held.period_end)
        assert subscription(over).status is SubscriptionStatus.ENDED

    def test_a_period_that_is_over_takes_nothing_away(self) -> None:
        renewed = charge_answered(until(subscribed(), END - 3 * DAY), AnswerStatus.SUCCEEDED, at=END - 3 * DAY)
        spec = given_back(asked(renewed, at=END + DAY, by_manager=True), at=END + DAY)
        assert subscription(spec).status is SubscriptionStatus.ACTIVE

    def test_while_the_renewal_is_charged(self) -> None:
        charging = until(subscribed(), END - 3 * DAY)
        spec = given_back(asked(charging, at=END - 2 * DAY, by_manager=True), at=END - 2 * DAY)
        assert subscription(spec).status is SubscriptionStatus.ENDED
        payment = next(each for each in spec.account.payments.values() if each.method is not None)
        assert payment.phase.kind == "closing"

    def test_a_film_that_was_bought_again_by_another_order_stays(self) -> None:
        first = given_back(asked(bought("stalker:rent"), at=T0), at=T0)
        again = bought_too(first, "stalker:rent", at=T0 + HOUR, ids=SECOND)
        assert set(again.account.entitlements) == {Resource("film:stalker")}

    def test_the_second_payment_of_a_renewal_takes_nothing_of_what_the_first_bought(self) -> None:
        declined = until(subscribed(), END - 3 * DAY)
        first = charge(declined)
        declined = charge_answered(
            declined, AnswerStatus.DECLINED, at=END - 3 * DAY, decline_reason="insufficient_funds"
        )
        renewed = charge_answered(until(declined, END - DAY), AnswerStatus.SUCCEEDED, at=END - DAY)
        late = ProviderAnswer(
            status=AnswerStatus.SUCCEEDED, reference=f"charge of {first.id}", amount=first.amount, paid_at=END - DAY
        )
        told = ReportPayment(payment_id=first.id, provider="stripe", report_id="late", answer=late)
        twice = renewed.when(told, at=END - HOUR).happens()
        assert refund(twice).reason == "the order was paid twice"
        assert subscription(given_back(twice, at=END - HOUR)) == subscription(renewed)
