"""Refunds of which the provider says another thing later: what succeeded had failed, or what failed had succeeded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, RefundAnswer, RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.entitlements.state import TakenAccess
from domain.errors import NothingToRefund, RefundExceedsPayment
from domain.ids import PriceId
from domain.payments.state import PaymentStatus
from domain.refunds.commands import AnswerRefund, RequestRefund
from domain.refunds.events import RefundFailed, RefundReinstated, RefundReversed, RefundSucceeded
from domain.refunds.state import Refund, RefundStatus
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ChangePlan, ResumeSubscription
from domain.subscriptions.events import SubscriptionEnded, SubscriptionRestored
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    END,
    FILM,
    MIDDLE,
    ROLE,
    bought,
    bought_too,
    charge_answered,
    paid_period,
    refund_answer,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, SECOND, T0, Ids, Spec, usd
from tests.domain.test_disputes import hears, told

MOVED_UP = T0 + 31 * DAY
"""The end of the second of two months, when the first is taken out."""
LATE = T0 + 20 * DAY


def given_back(
    spec: Spec, amount: int | None = None, *, at: datetime = T0, name: str = "refund 1", by_manager: bool = False
) -> Spec:
    """Money is asked for, and the provider says that it gave it."""
    ask = RequestRefund(payment_id=ORDER.payment, amount=amount, by_manager=by_manager)
    spec = spec.when(ask, at=at, command_id=name).happens()
    return spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=at).happens()


def newest(spec: Spec) -> Refund:
    return tuple(spec.account.refunds.values())[-1]


def bounced(refund: Refund, **changed: Any) -> AnswerRefund:
    """A webhook says that the bank did not take the money."""
    answer = RefundAnswer(
        **{
            "status": RefundAnswerStatus.FAILED,
            "reference": refund.reference,
            "detail": "expired_or_canceled_card",
            **changed,
        }
    )
    return AnswerRefund(refund_id=refund.id, effect_id=None, attempt=0, answer=answer)


def test_the_books_and_the_access_are_as_they_were() -> None:
    spec = given_back(bought(), at=T0 + HOUR)
    assert spec.account.entitlements == {}
    refund = newest(spec)
    after = spec.when(bounced(refund), at=LATE).then(
        RefundReversed(
            refund_id=refund.id,
            payment_id=ORDER.payment,
            order_id=ORDER.order,
            amount=usd(999),
            reason="expired_or_canceled_card",
            reversed_at=LATE,
            restored=(TakenAccess(resource=FILM, taken_at=T0 + HOUR),),
        ),
        EntitlementGranted(resource=FILM, until=None, reason="purchase", order_id=ORDER.order, subscription_id=None),
    )
    payment = after.account.payments[ORDER.payment]
    assert (payment.status, payment.refunded, payment.refunding) == (PaymentStatus.SUCCEEDED, 0, 0)
    assert newest(after).status is RefundStatus.FAILED
    after.when(bounced(refund), at=LATE).then_nothing()
    after.when(refund_answer_again(refund), at=LATE).then_nothing()


def refund_answer_again(refund: Refund) -> AnswerRefund:
    """The first word comes once more, late."""
    answer = RefundAnswer(status=RefundAnswerStatus.SUCCEEDED, reference=refund.reference)
    return AnswerRefund(refund_id=refund.id, effect_id=None, attempt=0, answer=answer)


def test_a_refused_call_is_no_word_about_the_money() -> None:
    """A late repeat of the call that had succeeded finds nothing left to give back."""
    spec = given_back(bought())
    spec.when(bounced(newest(spec), reference=None)).then_nothing()
    spec.when(bounced(newest(spec), reference="re_of_another")).then_nothing()


def test_the_failure_comes_before_the_success() -> None:
    spec = bought().when(RequestRefund(payment_id=ORDER.payment), command_id="refund 1").happens()
    failed = spec.when(bounced(newest(spec), reference="re_1"))
    assert [type(event) for event in failed.events] == [RefundFailed]
    late = refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED, reference="re_1")
    failed.happens().when(late).then_nothing()


def test_it_may_be_asked_for_again_however_late_and_once() -> None:
    spec = given_back(bought(), 300, by_manager=True)
    spec.when(RequestRefund(payment_id=ORDER.payment), at=LATE).then_rejected(NothingToRefund)
    spec = spec.when(bounced(newest(spec)), at=LATE).happens()
    spec.when(RequestRefund(payment_id=ORDER.payment, amount=301), at=LATE + DAY).then_rejected(
        RefundExceedsPayment, left_amount="300", rule="an earlier refund did not reach the customer"
    )
    again = spec.when(RequestRefund(payment_id=ORDER.payment), at=LATE + DAY, command_id="refund 2").happens()
    assert (newest(again).amount, newest(again).ends_access) == (usd(300), False)
    again.when(RequestRefund(payment_id=ORDER.payment), at=LATE + DAY).then_rejected(NothingToRefund)
    done = again.when(refund_answer(newest(again), RefundAnswerStatus.SUCCEEDED), at=LATE + DAY).happens()
    done.when(RequestRefund(payment_id=ORDER.payment), at=LATE + DAY).then_rejected(NothingToRefund)
    once_more = done.when(bounced(newest(done)), at=LATE + 2 * DAY).happens()
    third = once_more.when(RequestRefund(payment_id=ORDER.payment), at=LATE + 3 * DAY, command_id="refund 3").happens()
    assert newest(third).amount == usd(300)


def test_what_a_manager_gave_instead_is_not_owed_twice() -> None:
    spec = given_back(bought(), 300, by_manager=True)
    spec = spec.when(bounced(newest(spec)), at=LATE).happens()
    instead = given_back(spec, 300, at=LATE + DAY, name="refund 2", by_manager=True)
    instead.when(RequestRefund(payment_id=ORDER.payment), at=LATE + DAY).then_rejected(NothingToRefund)


def test_of_two_parts_that_made_the_whole_one_comes_back() -> None:
    """Not all of the money has gone, so the film has no reason to be gone, whichever refund took it."""
    first = given_back(bought(), 998, by_manager=True)
    part = newest(first)
    both = given_back(first, 1, name="refund 2")
    assert both.account.entitlements == {}
    after = both.when(bounced(part), at=LATE).happens()
    assert FILM in after.account.entitlements
    assert after.account.payments[ORDER.payment].refunded == 1
    assert all(refund.taken == () for refund in after.account.refunds.values())
    whole = given_back(after, at=LATE, name="refund 3")
    assert whole.account.entitlements == {}
    assert whole.when(bounced(newest(whole)), at=LATE).events[1:] != ()


def test_the_rest_of_a_period_is_given_again() -> None:
    spec = given_back(subscribed(), at=MIDDLE)
    assert subscription(spec).status is SubscriptionStatus.ENDED
    after = spec.when(bounced(newest(spec)), at=END + 2 * DAY)
    end = END + 2 * DAY + 14 * DAY
    restored = after.events[1]
    assert isinstance(restored, SubscriptionRestored)
    assert restored.paid == (paid_period(ORDER, end - 28 * DAY, end),)
    spec = after.happens()
    assert spec.account.entitlements[ROLE].until == end
    half = spec.when(RequestRefund(payment_id=ORDER.payment), at=END + 3 * DAY, command_id="refund 2").happens()
    assert newest(half).amount == usd(499), "what was to go back, not only what is unused by now"
    gone = half.when(refund_answer(newest(half), RefundAnswerStatus.SUCCEEDED), at=END + 4 * DAY)
    assert EntitlementEnded(resource=ROLE, ended_at=END + 4 * DAY) in gone.events


def test_the_rest_of_a_period_follows_what_still_runs() -> None:
    ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
    spec = given_back(ahead, at=MIDDLE)
    running_to = subscription(spec).period_end
    after = spec.when(bounced(newest(spec)), at=MIDDLE + DAY).happens()
    assert subscription(after).period_end == running_to + 14 * DAY
    assert after.account.entitlements[ROLE].until == running_to + 14 * DAY


def test_the_rest_of_what_was_cancelled_at_once_is_owed() -> None:
    """The customer ended it; that the money came back does not begin it again."""
    cancel = CancelSubscription(subscription_id=ORDER.subscription("cinema"), at=CancelAt.NOW)
    spec = subscribed().when(cancel, at=MIDDLE).happens()
    spec = spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=MIDDLE).happens()
    after = spec.when(bounced(newest(spec)), at=LATE)
    assert [type(event) for event in after.events] == [RefundReversed]
    again = after.happens().when(RequestRefund(payment_id=ORDER.payment), at=END + 9 * DAY, command_id="2").happens()
    assert newest(again).amount == usd(499)


def test_within_the_window_all_of_it_may_be_asked_for() -> None:
    spec = given_back(bought(), 300, by_manager=True)
    spec = spec.when(bounced(newest(spec)), at=T0 + timedelta(minutes=5)).happens()
    window = T0 + POLICIES.refund_window
    again = spec.when(RequestRefund(payment_id=ORDER.payment), at=window, command_id="refund 2").happens()
    assert newest(again).amount == usd(999)


def test_what_a_lost_dispute_holds_gives_no_access_again() -> None:
    """The bank took all of it for good before word came that the refund had not arrived."""
    spec = given_back(bought(), at=T0 + HOUR)
    refund = newest(spec)
    lost = hears(spec, told(DisputeStatus.LOST), at=T0 + DAY)
    after = lost.when(bounced(refund), at=LATE).happens()
    assert after.account.entitlements == {}
    assert after.account.payments[ORDER.payment].refunded == 0


def refused(spec: Spec, *, at: datetime = T0, reference: str | None = None) -> Spec:
    """The call for the newest refund is refused."""
    answer = refund_answer(newest(spec), RefundAnswerStatus.FAILED, reference=reference, detail="refused")
    return spec.when(answer, at=at).happens()


def went(refund: Refund, reference: str = "re_late") -> AnswerRefund:
    """A webhook says that the money went."""
    answer = RefundAnswer(status=RefundAnswerStatus.SUCCEEDED, reference=reference)
    return AnswerRefund(refund_id=refund.id, effect_id=None, attempt=0, answer=answer)


class TestAnotherPlanByNow:
    """The time that comes back was of a plan that the subscription has left in the meantime."""

    def changed(self) -> Spec:
        """Bought twice, the first one refunded, and then another plan with another role from the end on."""
        spec = bought_too(subscribed(), "cinema:month", at=T0, ids=SECOND)
        spec = given_back(spec, at=T0)
        plan = subscription(spec).id
        spec = spec.when(ResumeSubscription(subscription_id=plan), at=T0 + HOUR).happens()
        change = ChangePlan(subscription_id=plan, price_id=PriceId("kids:month"), at=ChangeAt.PERIOD_END)
        charging = until(spec.when(change, at=T0 + HOUR).happens(), MOVED_UP)
        return charge_answered(charging, AnswerStatus.SUCCEEDED, at=MOVED_UP)

    def test_the_time_is_not_given_and_the_new_plan_stays_as_it_is(self) -> None:
        spec = self.changed()
        refund = next(iter(spec.account.refunds.values()))
        after = spec.when(bounced(refund), at=MOVED_UP + HOUR)
        assert [type(event) for event in after.events] == [RefundReversed]
        assert after.happens().account.subscriptions == spec.account.subscriptions
        again = (
            after.happens()
            .when(RequestRefund(payment_id=ORDER.payment), at=MOVED_UP + DAY, command_id="again")
            .happens()
        )
        assert newest(again).amount == usd(999), "its money is owed"

    def test_a_new_subscription_of_the_old_plan_takes_it(self) -> None:
        third = Ids("place 3")
        spec = bought_too(self.changed(), "cinema:month", at=MOVED_UP + HOUR, ids=third)
        refund = next(iter(spec.account.refunds.values()))
        after = spec.when(bounced(refund), at=MOVED_UP + DAY).happens()
        longer = after.account.subscriptions[third.subscription("cinema")]
        assert [period.order_id for period in longer.paid] == [third.order, ORDER.order]


class TestItWentAfterAll:
    """A call was refused as far as we knew, and the provider says later that it carried the refund out."""

    def test_books_and_access_follow_the_money(self) -> None:
        spec = refused(bought().when(RequestRefund(payment_id=ORDER.payment), command_id="refund 1").happens())
        assert set(spec.account.entitlements) == {FILM}
        refund = newest(spec)
        after = spec.when(went(refund), at=LATE).then(
            RefundReinstated(
                refund_id=refund.id,
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                provider="stripe",
                amount=usd(999),
                reference="re_late",
                reinstated_at=LATE,
            ),
            RefundSucceeded(
                refund_id=refund.id,
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                amount=usd(999),
                reference="re_late",
                taken=(TakenAccess(resource=FILM, taken_at=LATE),),
            ),
            EntitlementEnded(resource=FILM, ended_at=LATE),
        )
        payment = after.account.payments[ORDER.payment]
        assert (payment.status, payment.refunded, payment.refunding) == (PaymentStatus.REFUNDED, 999, 0)
        after.when(went(refund), at=LATE).then_nothing()
        after.when(RequestRefund(payment_id=ORDER.payment, by_manager=True), at=LATE).then_rejected(NothingToRefund)
        assert after.timers == ()

    def test_a_part_leaves_the_access(self) -> None:
        ask = RequestRefund(payment_id=ORDER.payment, amount=300, by_manager=True)
        spec = refused(bought().when(ask, command_id="refund 1").happens())
        after = spec.when(went(newest(spec)), at=LATE).happens()
        assert (set(after.account.entitlements), after.account.payments[ORDER.payment].refunded) == ({FILM}, 300)

    def test_the_unused_part_of_a_period_ends_it(self) -> None:
        ask = RequestRefund(payment_id=ORDER.payment)
        spec = refused(subscribed().when(ask, at=MIDDLE, command_id="refund 1").happens(), at=MIDDLE)
        after = spec.when(went(newest(spec)), at=LATE)
        assert SubscriptionEnded in [type(event) for event in after.events]
        assert after.happens().account.entitlements == {}

    def test_it_may_bounce_all_the_same(self) -> None:
        spec = refused(bought().when(RequestRefund(payment_id=ORDER.payment), command_id="refund 1").happens())
        spec = spec.when(went(newest(spec)), at=LATE).happens()
        back = spec.when(bounced(newest(spec)), at=LATE + DAY).happens()
        assert (set(back.account.entitlements), newest(back).status) == ({FILM}, RefundStatus.FAILED)
        back.when(went(newest(back)), at=LATE + DAY).then_nothing()

    def test_the_word_of_the_refund_that_failed_is_an_old_one(self) -> None:
        spec = bought().when(RequestRefund(payment_id=ORDER.payment), command_id="refund 1").happens()
        failed = refused(spec, reference="re_late")
        failed.when(went(newest(failed)), at=LATE).then_nothing()
        failed.when(went(newest(failed), "re_other"), at=LATE).happens()

    def test_what_was_asked_for_again_meanwhile_is_refused_by_the_provider(self) -> None:
        first = refused(bought().when(RequestRefund(payment_id=ORDER.payment), command_id="refund 1").happens())
        again = first.when(RequestRefund(payment_id=ORDER.payment), command_id="refund 2").happens()
        both = again.when(went(newest(first))).happens()
        done = refused(both)
        payment = done.account.payments[ORDER.payment]
        assert (payment.refunded, payment.refunding) == (999, 0)
