"""The balance pays for renewals and changes of plan, and takes what they give back."""

from __future__ import annotations

from dataclasses import replace

from domain.balance.events import BalanceReturned, CreditGranted
from domain.balance.state import payment_id_of
from domain.effects import AnswerStatus
from domain.ids import OrderId, PriceId, derive
from domain.orders.events import OrderFailed
from domain.orders.state import OrderStatus
from domain.payments.commands import RemovePaymentMethod
from domain.policies.settings import PlanChangeRemainder, Policies
from domain.subscriptions.commands import ChangeAt, ChangePlan
from domain.subscriptions.state import Source, SubscriptionStatus
from tests.domain.histories import (
    DECLINED,
    END,
    FIRST,
    METHOD,
    MIDDLE,
    answered,
    charge,
    charge_answered,
    paid,
    place,
    reported,
    subscription,
    until,
)
from tests.domain.histories_of_balance import KEPT, granted, left, ordering, paying
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, Spec, usd


class TestRenewals:
    def test_the_balance_pays_first(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(400), reason="sorry"))
        charging = until(spec, FIRST)
        assert charge(charging).amount == usd(599)
        renewed = charge_answered(charging, AnswerStatus.SUCCEEDED, at=FIRST)
        order_id = charge(charging).order_id
        assert subscription(renewed).paid[-1].sources == (
            Source(payment_id=payment_id_of(order_id), amount=400),
            Source(payment_id=charge(charging).id, amount=599),
        )

    def test_covered_it_needs_no_means_of_payment(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(1000), reason="sorry"))
        bare = spec.when(RemovePaymentMethod(method_reference=METHOD.method_reference)).happens()
        renewed = until(bare, FIRST)
        assert subscription(renewed).status is SubscriptionStatus.ACTIVE
        assert subscription(renewed).period_end > END
        assert left(renewed) == 1

    def test_without_a_means_of_payment_nothing_is_held(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(400), reason="sorry"))
        bare = spec.when(RemovePaymentMethod(method_reference=METHOD.method_reference)).happens()
        assert left(until(bare, FIRST)) == 400

    def test_declined_its_part_stays_held_until_nothing_is_tried_any_more(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(400), reason="sorry"))
        declined = charge_answered(until(spec, FIRST), AnswerStatus.DECLINED, at=FIRST, decline_reason="no money")
        assert left(declined) == 0
        again = until(declined, END - DAY)
        assert charge(again).amount == usd(599)
        hard = charge_answered(again, AnswerStatus.DECLINED, at=END - DAY, decline_reason="lost card", hard=True)
        over = until(hard, END + POLICIES.grace)
        assert subscription(over).status is SubscriptionStatus.ENDED
        assert left(over) == 400

    def test_what_comes_onto_it_meanwhile_pays_at_the_next_attempt(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(400), reason="sorry"))
        first = until(spec, FIRST)
        declined = charge_answered(first, AnswerStatus.DECLINED, at=FIRST, decline_reason="no money")
        more = declined.and_given(CreditGranted(amount=usd(100), reason="sorry"))
        again = until(more, END - DAY)
        assert charge(again).amount == usd(499)
        late = charge_answered(again, AnswerStatus.SUCCEEDED, at=END - DAY)
        assert left(late) == 0

    def test_an_earlier_attempt_that_was_paid_after_all_gives_the_difference_back(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(400), reason="sorry"))
        first = until(spec, FIRST)
        declined = charge_answered(first, AnswerStatus.DECLINED, at=FIRST, decline_reason="no money")
        again = until(declined.and_given(CreditGranted(amount=usd(100), reason="sorry")), END - DAY)
        early = charge(first)
        told = paid(early.amount, reference=f"charge of {early.id}")
        spec = again.when(reported(told, payment_id=early.id), at=END - DAY).happens()
        assert left(spec) == 100
        assert spec.account.orders[early.order_id].status is OrderStatus.FULFILLED
        assert spec.account.orders[early.order_id].balance_used == 400


class TestChangesOfPlan:
    PLAN = ORDER.subscription("cinema")
    CHANGE = OrderId(derive("change", "order"))

    def change(self, spec: Spec, price: str, remainder: PlanChangeRemainder = PlanChangeRemainder.REFUND) -> Spec:
        asked = ChangePlan(subscription_id=self.PLAN, price_id=PriceId(price), at=ChangeAt.NOW, provider="stripe")
        policies = Policies(plan_change_remainder=remainder)
        return spec.when(asked, at=MIDDLE, command_id="change", policies=policies).happens()

    def test_the_balance_pays_after_the_rest_of_the_old_plan(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(1000), reason="sorry"))
        changed = self.change(spec, "cinema-plus:month")
        order = changed.account.orders[self.CHANGE]
        assert order.credit == usd(499)
        assert (order.balance_used, order.due) == (1000, usd(500))

    def test_covered_it_changes_at_once(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(5000), reason="sorry"))
        changed = self.change(spec, "cinema-plus:month")
        assert subscription(changed).product_id == "cinema-plus"
        assert left(changed) == 5000 - 1500

    def test_declined_it_is_on_the_balance_again(self) -> None:
        spec = paying(ordering(1, "cinema:month")).and_given(CreditGranted(amount=usd(1000), reason="sorry"))
        changing = self.change(spec, "cinema-plus:month")
        payment = changing.account.payments[changing.account.orders[self.CHANGE].payment_id]
        assert payment.call is not None
        told = replace(answered(payment.call.effect_id, DECLINED), payment_id=payment.id)
        events = changing.when(told, at=MIDDLE + HOUR).events
        assert isinstance(events[-2], OrderFailed)
        assert events[-1] == BalanceReturned(order_id=self.CHANGE, amount=usd(1000))

    def test_what_the_balance_paid_goes_back_onto_it(self) -> None:
        covered = granted(2500).when(place("cinema:quarter"), command_id=ORDER.command).happens()
        changed = self.change(covered, "kids:month")
        unused = 2500 * 75 // 89  # of the 89 days from 31 January to 30 April
        assert subscription(changed).paid[0].sources == (Source(payment_id=KEPT, amount=500),)
        assert left(changed) == changed.account.payments[KEPT].refunded == unused - 500

    def test_by_setting_the_rest_of_money_goes_onto_the_balance(self) -> None:
        bought = paying(ordering(1, "cinema:quarter"))
        refunded = self.change(bought, "kids:month")
        changed = self.change(bought, "kids:month", PlanChangeRemainder.CREDIT)
        (asked,) = refunded.account.refunds.values()
        assert left(changed) == asked.amount.amount
        assert changed.account.payments[ORDER.payment].refunded == asked.amount.amount
        assert subscription(changed) == subscription(refunded)
        assert all(each.call is None for each in changed.account.refunds.values())
        kept = self.change(bought, "kids:month", PlanChangeRemainder.KEEP)
        assert (left(kept), kept.account.refunds) == (0, {})
