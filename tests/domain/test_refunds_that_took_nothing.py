"""Money that went back without any access going with it: asked for again, it takes none either."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswerStatus
from domain.errors import NothingToRefund, RefundExceedsPayment
from domain.ids import OrderId, PriceId, Resource, derive
from domain.payments.commands import AnswerCall
from domain.policies.settings import Policies, RefundAccess
from domain.refunds.commands import RequestRefund
from domain.refunds.state import OWED_WITHOUT_ACCESS, RefundStatus
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ChangePlan
from tests.domain.histories import answered, bought, opened, paid, refund_answer, reported, subscribed
from tests.domain.spec import DAY, HOUR, ORDER, T0, Spec, usd
from tests.domain.test_reversed_refunds import bounced, newest, refused

if TYPE_CHECKING:
    from domain.refunds.state import Refund
    from domain.subscriptions.state import Subscription

MIDDLE = T0 + 14 * DAY
LATER = MIDDLE + DAY
END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
CINEMA, KIDS = ORDER.subscription("cinema"), ORDER.subscription("kids")
CHANGE = OrderId(derive("change", "order"))
ASK = RequestRefund(payment_id=ORDER.payment)


def kids(spec: Spec) -> Subscription:
    return spec.account.subscriptions[KIDS]


def succeeded(spec: Spec, refund: Refund, *, at: datetime = MIDDLE) -> Spec:
    return spec.when(refund_answer(refund, RefundAnswerStatus.SUCCEEDED), at=at).happens()


def both_plans() -> Spec:
    return subscribed("cinema:month", "kids:month")


def cancelled(at: datetime = MIDDLE) -> Spec:
    """One of two plans of an order was cancelled at once, and its rest is on its way back."""
    return both_plans().when(CancelSubscription(subscription_id=CINEMA, at=CancelAt.NOW), at=at).happens()


def changed() -> Spec:
    """One of two plans of an order was changed: what was left of it is credit in the order of the new one."""
    change = ChangePlan(subscription_id=CINEMA, price_id=PriceId("cinema-plus:month"), at=ChangeAt.NOW)
    spec = both_plans().when(change, at=MIDDLE, command_id="change").happens()
    payment = spec.account.payments[spec.account.orders[CHANGE].payment_id]
    assert payment.call is not None
    told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="charge", amount=payment.amount, paid_at=MIDDLE)
    charged = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
    return spec.when(charged, at=MIDDLE).happens()


def new_plan_back() -> tuple[Spec, Refund, Refund]:
    """The new plan is given back: its own payment, and the credit that it was paid with besides."""
    spec = changed()
    ask = RequestRefund(payment_id=spec.account.orders[CHANGE].payment_id)
    spec = spec.when(ask, at=MIDDLE, command_id="refund 1").happens()
    own, credit = spec.account.refunds.values()
    assert (own.payment_id, credit.payment_id) == (ask.payment_id, ORDER.payment)
    return spec, own, credit


def asked_again(spec: Spec, *, at: datetime = LATER, name: str = "again", **changed_: object) -> Spec:
    return spec.when(ASK, at=at, command_id=name, **changed_).happens()


class TestCredit:
    @pytest.mark.parametrize("credit_first", [True, False])
    def test_in_whatever_order_it_arrives_the_other_plan_stays(self, credit_first: bool) -> None:  # noqa: FBT001
        spec, own, credit = new_plan_back()
        for each in (credit, own) if credit_first else (own, credit):
            spec = succeeded(spec, each)
        assert not spec.account.subscriptions[CINEMA].is_running
        assert (kids(spec).is_running, kids(spec).period_end) == (True, END)

    def test_all_of_an_order_s_other_money_as_well(self) -> None:
        """The plan is changed at once, so that the credit is more than what the other plan had cost."""
        change = ChangePlan(subscription_id=CINEMA, price_id=PriceId("cinema-plus:month"), at=ChangeAt.NOW)
        spec = both_plans().when(change, at=T0, command_id="change").happens()
        payment = spec.account.payments[spec.account.orders[CHANGE].payment_id]
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="charge", amount=payment.amount, paid_at=T0)
        charged = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        spec = spec.when(charged, at=T0).happens()
        spec = spec.when(RequestRefund(payment_id=payment.id), at=T0 + HOUR, command_id="refund 1").happens()
        own, credit = spec.account.refunds.values()
        assert credit.amount == usd(999)
        spec = succeeded(succeeded(spec, credit), own)
        assert kids(spec).is_running

    def test_that_bounced_and_is_asked_for_again_takes_nothing(self) -> None:
        spec, own, credit = new_plan_back()
        spec = succeeded(succeeded(spec, own), credit)
        spec = spec.when(bounced(spec.account.refunds[credit.id]), at=LATER).happens()
        spec = asked_again(spec)
        assert (newest(spec).amount, newest(spec).rule) == (credit.amount, OWED_WITHOUT_ACCESS)
        spec = succeeded(spec, newest(spec), at=LATER)
        assert (kids(spec).is_running, kids(spec).period_end, newest(spec).taken) == (True, END, ())
        unused = asked_again(spec, name="and the other plan")
        assert newest(unused).rule == "the unused part of the period"
        assert not kids(succeeded(unused, newest(unused), at=LATER)).is_running


class TestWhatWeGaveBackOurselves:
    def test_that_bounced_and_is_asked_for_again_takes_nothing(self) -> None:
        spec = cancelled()
        rest = newest(spec)
        spec = succeeded(spec, rest)
        spec = spec.when(bounced(newest(spec)), at=LATER).happens()
        spec = asked_again(spec)
        assert (newest(spec).amount, newest(spec).rule) == (rest.amount, OWED_WITHOUT_ACCESS)
        spec = succeeded(spec, newest(spec), at=LATER)
        assert (kids(spec).is_running, kids(spec).period_end) == (True, END)

    def test_also_where_any_refund_ends_access(self) -> None:
        ends = Policies(refund_access=RefundAccess.ENDS)
        spec = cancelled()
        spec = succeeded(spec, newest(spec))
        spec = spec.when(bounced(newest(spec)), at=LATER).happens()
        spec = asked_again(spec, policies=ends)
        assert kids(succeeded(spec, newest(spec), at=LATER)).is_running

    def test_while_it_is_on_its_way_the_other_plan_is_as_it_was(self) -> None:
        spec = cancelled()
        spec = succeeded(spec, newest(spec))
        spec = asked_again(spec.when(bounced(newest(spec)), at=LATER).happens())
        unused = asked_again(spec, name="the other plan")
        assert newest(unused).amount == usd(500 * 13 // 28)
        change = ChangePlan(subscription_id=KIDS, price_id=PriceId("arthouse:month"), at=ChangeAt.NOW)
        assert spec.when(change, at=LATER).events

    def test_it_is_owed_once(self) -> None:
        spec = cancelled()
        rest = newest(spec).amount.amount
        spec = succeeded(spec, newest(spec))
        spec = spec.when(bounced(newest(spec)), at=LATER).happens()
        too_much = RequestRefund(payment_id=ORDER.payment, amount=rest + 1)
        spec.when(too_much, at=LATER).then_rejected(RefundExceedsPayment, left_amount=str(rest))
        spec = asked_again(spec)
        spec = succeeded(spec, newest(spec), at=LATER)
        spec = spec.when(bounced(newest(spec)), at=LATER + DAY).happens()
        third = asked_again(spec, at=LATER + DAY, name="third")
        assert (newest(third).amount, newest(third).rule) == (usd(rest), OWED_WITHOUT_ACCESS)

    def test_what_a_manager_gave_instead_is_not_owed_again(self) -> None:
        spec = cancelled()
        rest = newest(spec).amount.amount
        spec = succeeded(spec, newest(spec))
        spec = spec.when(bounced(newest(spec)), at=LATER).happens()
        instead = RequestRefund(payment_id=ORDER.payment, amount=rest, by_manager=True)
        spec = spec.when(instead, at=LATER, command_id="instead").happens()
        spec.when(ASK, at=END + DAY).then_rejected(NothingToRefund)

    def test_refused_by_the_provider_it_may_be_asked_for(self) -> None:
        """We promised it, and nobody else would ever ask for it."""
        spec = refused(cancelled(), at=MIDDLE)
        spec = asked_again(spec, at=END + DAY)
        assert (newest(spec).amount, newest(spec).rule) == (usd(499), OWED_WITHOUT_ACCESS)
        again = asked_again(refused(spec, at=END + DAY), at=END + 2 * DAY, name="third")
        assert newest(again).amount == usd(499)
        done = succeeded(again, newest(again), at=END + 2 * DAY)
        done.when(ASK, at=END + 3 * DAY).then_rejected(NothingToRefund)

    def test_money_that_came_twice_and_was_refused_is_not_silently_kept(self) -> None:
        spec = refused(paid_too_late(), at=T0 + 2 * DAY)
        assert spec.account.entitlements == {}
        spec = asked_again(spec, at=T0 + 9 * DAY)
        assert (newest(spec).amount, newest(spec).rule) == (usd(999), OWED_WITHOUT_ACCESS)

    def test_what_the_customer_asked_for_and_was_refused_is_as_if_never_asked(self) -> None:
        spec = refused(bought().when(ASK, command_id="refund 1").happens())
        assert newest(spec).status is RefundStatus.FAILED
        spec.when(ASK, at=T0 + DAY).then_rejected(NothingToRefund)
        assert Resource("film:solaris") in spec.account.entitlements


def paid_too_late() -> Spec:
    """A page was paid after its order had been given up."""
    late = Policies(late_payment_fulfils=False)
    spec = opened()
    (expiring,) = [timer for timer in spec.timers if type(timer.data).__name__ == "ExpirePayment"]
    spec = spec.when(expiring.data, at=expiring.due_at).happens()
    closed = ProviderAnswer(status=AnswerStatus.CLOSED)
    spec = spec.when(answered(ORDER.close, closed), at=expiring.due_at).happens()
    return spec.when(reported(paid()), at=T0 + 2 * DAY, policies=late).happens()


class TestWhatIsMissed:
    def test_a_part_that_bounced_twice_is_owed_once(self) -> None:
        """Asked for again within the window, by the rule of the window."""
        part = RequestRefund(payment_id=ORDER.payment, amount=300)
        spec = subscribed()
        for name in ("first", "second"):
            spec = spec.when(part, at=T0 + HOUR / 2, command_id=name).happens()
            spec = succeeded(spec, newest(spec), at=T0 + HOUR / 2)
            spec = spec.when(bounced(newest(spec)), at=T0 + HOUR / 2).happens()
        after = asked_again(spec, at=END + DAY)
        assert newest(after).amount == usd(300)
