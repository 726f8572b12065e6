"""Money that was carried over into another plan and goes for good: the time that it bought there goes with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswerStatus
from domain.errors import NothingToRefund, PlanChangeRefused
from domain.ids import OrderId, PriceId, derive
from domain.payments.commands import AnswerCall
from domain.policies.settings import DisputeAccess, Policies, RefundAccess
from domain.refunds.commands import RequestRefund
from domain.refunds.rules import UNUSED
from domain.subscriptions.commands import ChangeAt, ChangePlan
from domain.subscriptions.state import Source, SubscriptionStatus
from tests.domain.histories import refund_answer, subscribed, subscription
from tests.domain.spec import DAY, HOUR, ORDER, T0, Spec
from tests.domain.test_disputes import hears, told
from tests.domain.test_reversed_refunds import bounced, newest

MIDDLE = T0 + 14 * DAY
LATER = MIDDLE + DAY
PLAN = ORDER.subscription("cinema")
CHANGE = OrderId(derive("change", "order"))
END = datetime(2030, 3, 14, 12, 30, tzinfo=UTC)
"""Of the new plan, a month from the middle of the old one's."""


def changed(old: str = "cinema:month", new: str = "cinema-plus:month", *beside: str) -> Spec:
    """Half a month of the old plan is credit of the new one; the rest is paid with a charge.

    `beside` are other plans that were bought by the first order.
    """
    change = ChangePlan(subscription_id=PLAN, price_id=PriceId(new), at=ChangeAt.NOW)
    spec = subscribed(old, *beside).when(change, at=MIDDLE, command_id="change").happens()
    payment = spec.account.payments.get(spec.account.orders[CHANGE].payment_id)
    if payment is None:
        return spec
    assert payment.call is not None
    answer = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="charge", amount=payment.amount, paid_at=MIDDLE)
    charged = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=answer)
    return spec.when(charged, at=MIDDLE).happens()


def lost(spec: Spec, *, policies: Policies | None = None) -> Spec:
    """The bank decides that the money of the old plan goes back."""
    whole = spec.account.payments[ORDER.payment].amount
    return hears(spec, told(DisputeStatus.LOST, amount=whole), at=LATER, policies=policies)


def manager_gives(spec: Spec, amount: int | None, *, at: datetime = LATER, name: str = "refund 1") -> Spec:
    ask = RequestRefund(payment_id=ORDER.payment, amount=amount, by_manager=True)
    spec = spec.when(ask, at=at, command_id=name).happens()
    return spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=at).happens()


def part(whole: timedelta, amount: int, price: int) -> timedelta:
    return timedelta(seconds=int(whole.total_seconds()) * amount // price)


class TestLostDisputes:
    def test_the_part_of_the_new_plan_that_its_money_paid_for_goes(self) -> None:
        before = changed()
        credit, charged = subscription(before).paid[0].sources
        assert (credit, charged.amount) == (Source(payment_id=ORDER.payment, amount=499), 1500)
        spec = lost(before)
        unused = 499 * 27 // 28
        held = subscription(spec)
        assert held.period_end == END - part(END - MIDDLE, unused, 1999)
        assert spec.account.entitlements[held.resource].until == held.period_end
        assert held.paid[0].sources == (Source(payment_id=ORDER.payment, amount=499 - unused), charged)

    def test_where_its_money_paid_for_all_of_it_nothing_stays(self) -> None:
        spec = lost(changed("cinema:quarter", "kids:month"))
        assert (subscription(spec).status, spec.account.entitlements) == (SubscriptionStatus.ENDED, {})

    def test_it_is_given_again_when_the_bank_thinks_better_of_it(self) -> None:
        spec = lost(changed())
        won = told(DisputeStatus.WON, after=2)
        back = subscription(hears(spec, won, at=LATER))
        assert back.period_end == END
        assert {source.payment_id: source.amount for source in back.paid[0].sources}[ORDER.payment] == 499

    @pytest.mark.parametrize("access", DisputeAccess)
    def test_when_it_goes_is_the_policy_s_choice(self, access: DisputeAccess) -> None:
        policies = Policies(dispute_access=access)
        opened = hears(changed(), told(DisputeStatus.NEEDS_RESPONSE), at=LATER, policies=policies)
        assert (subscription(opened).period_end < END) == (access is DisputeAccess.OPENED)
        gone = hears(opened, told(DisputeStatus.LOST, after=2), at=LATER, policies=policies)
        assert (subscription(gone).period_end < END) == (access is not DisputeAccess.NEVER)


class TestManagers:
    def test_money_for_time_that_was_used_takes_nothing(self) -> None:
        spec = manager_gives(changed(), 500)
        assert subscription(spec).period_end == END

    def test_what_is_more_takes_its_part_of_the_new_plan(self) -> None:
        spec = manager_gives(changed(), 600)
        assert subscription(spec).period_end == END - part(END - MIDDLE, 100, 1999)
        again = manager_gives(spec, 50, name="refund 2")
        assert subscription(again).period_end == END - part(END - MIDDLE, 100, 1999) - part(
            subscription(spec).period_end - MIDDLE, 50, 1899
        )

    def test_all_of_it(self) -> None:
        spec = manager_gives(changed("cinema:quarter", "kids:month"), None)
        assert (subscription(spec).status, spec.account.entitlements) == (SubscriptionStatus.ENDED, {})

    def test_what_bounces_gives_its_time_again(self) -> None:
        spec = manager_gives(changed(), 600)
        assert subscription(spec.when(bounced(newest(spec)), at=LATER + DAY).happens()).period_end == END

    def test_by_setting_the_time_stays(self) -> None:
        ask = RequestRefund(payment_id=ORDER.payment, by_manager=True)
        spec = changed().when(ask, at=LATER, policies=Policies(refund_access=RefundAccess.KEEPS)).happens()
        spec = spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=LATER).happens()
        assert subscription(spec).period_end == END


def asks(spec: Spec, amount: int | None = None, *, at: datetime = LATER, name: str = "ask 1") -> Spec:
    """The customer asks for the money of the old plan, and gets it."""
    spec = spec.when(RequestRefund(payment_id=ORDER.payment, amount=amount), at=at, command_id=name).happens()
    return spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=at).happens()


class TestCustomersWhoseChangeCostNothing:
    """The new plan was paid for with the credit alone: there is no other payment that they could ask for."""

    def test_the_unused_part_of_it_goes_back_and_ends_it(self) -> None:
        before = changed("cinema:quarter", "kids:month")
        spec = asks(before, at=MIDDLE + 14 * DAY)
        refund = newest(spec)
        assert (refund.rule, refund.amount.amount) == (UNUSED, 500 * 14 // 28)
        assert (subscription(spec).status, spec.account.entitlements) == (SubscriptionStatus.ENDED, {})
        again = RequestRefund(payment_id=ORDER.payment)
        spec.when(again, at=MIDDLE + 15 * DAY).then_rejected(NothingToRefund, payment_id=ORDER.payment)

    def test_a_part_takes_its_part_of_the_time(self) -> None:
        spec = asks(changed("cinema:quarter", "kids:month"), 100)
        assert subscription(spec).period_end == END - part(END - MIDDLE, 100, 500)

    def test_what_bounces_can_be_asked_for_again_and_ends_it_then(self) -> None:
        spec = asks(changed("cinema:quarter", "kids:month"))
        spec = spec.when(bounced(newest(spec)), at=LATER + DAY).happens()
        assert subscription(spec).is_running
        spec = asks(spec, at=LATER + 2 * DAY, name="ask 2")
        assert (subscription(spec).status, spec.account.entitlements) == (SubscriptionStatus.ENDED, {})

    def test_in_full_within_the_window(self) -> None:
        change = ChangePlan(subscription_id=PLAN, price_id=PriceId("kids:month"), at=ChangeAt.NOW)
        at = T0 + HOUR / 2
        spec = subscribed("cinema:quarter").when(change, at=at, command_id="change").happens()
        spec = spec.when(refund_answer(newest(spec), RefundAnswerStatus.SUCCEEDED), at=at).happens()
        spec = asks(spec, at=at)
        assert spec.account.payments[ORDER.payment].refunded == 2500
        assert (subscription(spec).status, spec.account.entitlements) == (SubscriptionStatus.ENDED, {})

    def test_what_is_asked_back_buys_no_other_plan(self) -> None:
        spec = changed("cinema:quarter", "kids:month")
        spec = spec.when(RequestRefund(payment_id=ORDER.payment, amount=100), at=LATER).happens()
        change = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.NOW)
        spec.when(change, at=LATER).then_rejected(PlanChangeRefused, reason="money of it is being given back")

    def test_where_there_is_money_for_the_change_that_is_asked_for(self) -> None:
        ask = RequestRefund(payment_id=ORDER.payment)
        changed().when(ask, at=LATER).then_rejected(NothingToRefund, payment_id=ORDER.payment)
