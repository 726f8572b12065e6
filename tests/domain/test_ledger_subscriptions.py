"""Subscriptions in the books: time that ends, rests, moves or is exchanged for another plan's."""

from __future__ import annotations

from dataclasses import replace

from domain.ids import PriceId, ProductId
from domain.orders.events import OrderPaymentWaived
from domain.orders.state import OrderPurpose
from domain.subscriptions.events import (
    PlanChanged,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionPaused,
    SubscriptionRestored,
    SubscriptionShortened,
)
from domain.subscriptions.state import PaidPeriod, Plan
from tests.domain.ledger_kit import THE_END
from tests.domain.ledger_spec import (
    CINEMA,
    END,
    KIDS,
    ORDER,
    OTHER,
    PLAN,
    Ledger,
    access,
    bounced,
    gone,
    line,
    money,
    month_bought,
    paid,
    placed,
    promised,
    renewed,
    started,
)
from tests.domain.spec import DAY, MONTH, T0, usd


class TestEnds:
    def test_the_rest_of_what_is_ended_is_earned(self) -> None:
        at = T0 + 10 * DAY
        ledger = month_bought(2700, discount=300)
        ledger.when(SubscriptionEnded(subscription_id=PLAN, ended_at=at), at=at)
        ledger.then(("deferred_revenue", "earned_revenue", 1800))
        ledger.balances(THE_END, provider_cash=2700, earned_revenue=2800, discounts=100)

    def test_an_end_after_the_period_changes_nothing(self) -> None:
        month_bought().when(SubscriptionEnded(subscription_id=PLAN, ended_at=END), at=END).then()

    def test_another_subscription_goes_on(self) -> None:
        ended = SubscriptionEnded(subscription_id=KIDS, ended_at=T0)
        month_bought().when(ended, at=T0 + DAY).then()

    def test_what_others_paid_moves_up_when_a_period_is_taken_out(self) -> None:
        ledger = month_bought()
        ledger.given(
            placed(line(3000, CINEMA, period=MONTH), order_id=OTHER),
            money(3000, order_id=OTHER),
            paid(OTHER),
            renewed(END, END + 30 * DAY),
            access(order_id=OTHER),
        )
        at = T0 + 10 * DAY
        kept = PaidPeriod(order_id=OTHER, start=at, end=at + 30 * DAY)
        shortened = SubscriptionShortened(
            subscription_id=PLAN, order_id=ORDER, anchor=T0, units=0, paid=(kept,), period_end=kept.end
        )
        ledger.given(promised(3000), gone(3000), at=at).when(shortened, at=at).then()
        ledger.balances(at, provider_cash=3000, deferred_revenue=3000, earned_revenue=1000, refunds=1000)
        ledger.balances(at + 15 * DAY, provider_cash=3000, deferred_revenue=1500, earned_revenue=2500, refunds=1000)
        ledger.balances(THE_END, provider_cash=3000, earned_revenue=4000, refunds=1000)

    def test_a_part_that_is_paid_back_leaves_the_rest_to_be_earned_over_the_time_that_stays(self) -> None:
        at, half, shorter = T0 + 10 * DAY, T0 + 15 * DAY, T0 + 20 * DAY
        stays = PaidPeriod(order_id=ORDER, start=T0, end=shorter)
        shortened = SubscriptionShortened(
            subscription_id=PLAN, order_id=ORDER, anchor=shorter, units=0, paid=(stays,), period_end=shorter
        )
        ledger = month_bought().given(promised(1000), gone(1000), at=at).when(shortened, at=at).then()
        ledger.balances(at, provider_cash=2000, deferred_revenue=1000, earned_revenue=1000)
        ledger.balances(half, provider_cash=2000, deferred_revenue=500, earned_revenue=1500)
        ledger.balances(shorter, provider_cash=2000, earned_revenue=2000)
        restored = SubscriptionRestored(
            subscription_id=PLAN,
            order_id=ORDER,
            anchor=END,
            paid=(PaidPeriod(order_id=ORDER, start=T0, end=END),),
            period_start=T0,
            period_end=END,
            access_end=END,
            renew_at=None,
            restored_at=half,
        )
        ledger.given(bounced(1000), restored, at=half)
        ledger.balances(half, provider_cash=3000, deferred_revenue=1500, earned_revenue=1500)
        ledger.balances(shorter, provider_cash=3000, deferred_revenue=1000, earned_revenue=2000)
        ledger.balances(THE_END, provider_cash=3000, earned_revenue=3000)


class TestPausesAndPlans:
    def test_a_pause_earns_nothing_and_loses_nothing(self) -> None:
        at, length = T0 + 10 * DAY, 5 * DAY
        ledger = month_bought(2700, discount=300)
        ledger.given(SubscriptionPaused(subscription_id=PLAN, paused_at=at, resume_by=at + 30 * DAY), at=at).then()
        ledger.balances(THE_END, provider_cash=2700, deferred_revenue=1800, earned_revenue=1000, discounts=100)
        moved_on = PaidPeriod(order_id=ORDER, start=T0 + length, end=END + length)
        continued = SubscriptionContinued(
            subscription_id=PLAN,
            anchor=moved_on.end,
            paid=(moved_on,),
            period_start=moved_on.start,
            period_end=moved_on.end,
            access_end=moved_on.end,
            renew_at=None,
            continued_at=at + length,
        )
        ledger.when(continued, at=at + length).then()
        ledger.balances(END, provider_cash=2700, deferred_revenue=450, earned_revenue=2500, discounts=250)
        ledger.balances(END + length, provider_cash=2700, earned_revenue=3000, discounts=300)

    def test_a_refund_while_it_rests_comes_out_of_the_rest(self) -> None:
        at = T0 + 10 * DAY
        ledger = month_bought().given(
            SubscriptionPaused(subscription_id=PLAN, paused_at=at, resume_by=at + 30 * DAY), at=at
        )
        ledger.when(promised(2000), at=at + DAY).then(("deferred_revenue", "refunds_payable", 2000))
        ledger.when(SubscriptionEnded(subscription_id=PLAN, ended_at=at), at=at + DAY).then()

    def test_the_rest_of_the_old_plan_buys_the_new_one(self) -> None:
        at = T0 + 20 * DAY
        order = replace(
            placed(line(5000, CINEMA, period=MONTH), order_id=OTHER), credit=usd(1200), purpose=OrderPurpose.PLAN_CHANGE
        )
        ledger = month_bought().given(order, money(3800, order_id=OTHER), at=at)
        ledger.when(paid(OTHER), at=at).then(("receivables", "deferred_revenue", 3800))
        plan = Plan(
            product_id=ProductId("q"),
            price_id=PriceId("q:1"),
            title="Q",
            price=usd(5000),
            period=MONTH,
            resource=CINEMA,
        )
        ledger.when(PlanChanged(subscription_id=PLAN, order_id=OTHER, plan=plan), at=at).then()
        ledger.given(renewed(at, at + 30 * DAY), access(order_id=OTHER), at=at)
        # 200 of the credit were earned since it was agreed: they are a discount on the new plan.
        ledger.balances(at, provider_cash=6800, deferred_revenue=4800, earned_revenue=2000)
        ledger.balances(THE_END, provider_cash=6800, earned_revenue=7000, discounts=200)
        ledger.when(promised(3000), at=at).then(("deferred_revenue", "refunds_payable", 3000))

    def test_what_the_new_plan_does_not_cost_is_given_back(self) -> None:
        order = replace(
            placed(line(500, CINEMA, period=MONTH), order_id=OTHER), credit=usd(500), purpose=OrderPurpose.PLAN_CHANGE
        )
        plan = Plan(
            product_id=ProductId("q"), price_id=PriceId("q:1"), title="Q", price=usd(500), period=MONTH, resource=CINEMA
        )
        at = T0 + 15 * DAY
        ledger = month_bought().given(order, OrderPaymentWaived(order_id=OTHER, reason="credit", waived_at=at), at=at)
        ledger.when(PlanChanged(subscription_id=PLAN, order_id=OTHER, plan=plan), at=at)
        ledger.then(("deferred_revenue", "earned_revenue", 1000))
        ledger.when(promised(1000), at=at).then(("earned_revenue", "refunds_payable", 1000))
        ledger.given(renewed(at, at + 30 * DAY), access(order_id=OTHER), at=at)
        ledger.balances(THE_END, provider_cash=3000, refunds_payable=1000, earned_revenue=2000)

    def test_a_trial_is_no_sale(self) -> None:
        trial = replace(placed(line(0, CINEMA, discount=700, period=MONTH)), purpose=OrderPurpose.TRIAL)
        waived = OrderPaymentWaived(order_id=ORDER, reason="a trial", waived_at=T0)
        Ledger().given(trial, waived, started(), access()).balances(THE_END)
