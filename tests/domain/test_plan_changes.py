"""Another plan now, with what is left of the old one as credit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.effects import AnswerStatus, ChargeMethod, CreateCheckout, RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import NothingToRefund, OrderOpen
from domain.ids import OrderId, PriceId, Resource, derive
from domain.orders.events import OrderAlreadyPlaced, OrderFailed, OrderFulfilled, OrderPaid, OrderPaymentWaived
from domain.orders.state import OrderPurpose, OrderStatus
from domain.payments.commands import ExpirePayment
from domain.policies.reactions import react
from domain.policies.settings import PlanChangeRemainder, Policies
from domain.refunds.commands import RequestRefund
from domain.refunds.state import RefundedBy
from domain.subscriptions.commands import CancelAt, CancelSubscription, PauseSubscription, StartTrial
from domain.subscriptions.events import PlanChanged, SubscriptionRenewed
from domain.subscriptions.state import PaidPeriod, Source, SubscriptionStatus
from tests.domain.histories import (
    END,
    FIRST,
    MIDDLE,
    OPENED,
    PLAN,
    ROLE,
    answer,
    answered,
    bought,
    bought_too,
    charge,
    charge_answered,
    paid,
    place,
    refund_answer,
    reported,
    subscribed,
    subscription,
    until,
)
from tests.domain.histories_of_plan_changes import CHANGE, CHARGE, KIDS, NEW_END, PLUS, change, changed, changing, told
from tests.domain.spec import AGREED, DAY, HOUR, ORDER, POLICIES, SECOND, T0, Spec, given, usd


class TestNow:
    def test_the_saved_method_is_charged_for_the_difference(self) -> None:
        spec = (
            subscribed()
            .when(change(), at=MIDDLE, command_id=CHANGE.command)
            .then_calls(
                ChargeMethod(
                    effect_id=CHARGE,
                    payment_id=CHANGE.payment,
                    order_id=CHANGE.order,
                    provider="stripe",
                    attempt=1,
                    amount=usd(1500),
                    description="Cinema-Plus",
                    customer_reference="cus_1",
                    method_reference="pm_1",
                    created_at=MIDDLE,
                    expires_at=MIDDLE + POLICIES.plan_change_expiry,
                )
            )
        )
        order = spec.account.orders[CHANGE.order]
        # 14 of 28 days of 9.99 are left: 4.99.
        assert (order.purpose, order.total, order.credit, order.due) == (
            OrderPurpose.PLAN_CHANGE,
            usd(1999),
            usd(499),
            usd(1500),
        )
        assert subscription(spec).plan == subscription(subscribed()).plan, "nothing changes before the money"

    def test_the_new_plan_begins_with_the_money(self) -> None:
        at = MIDDLE + HOUR
        end = NEW_END + HOUR
        events = changing().when(told(AnswerStatus.SUCCEEDED), at=at).events
        sources = (
            # An hour later a little less is left than was taken off: the customer has the better of it.
            Source(payment_id=ORDER.payment, amount=498),
            Source(payment_id=CHANGE.payment, amount=1500),
        )
        assert events[1:] == (
            OrderPaid(order_id=CHANGE.order, payment_id=CHANGE.payment, paid_at=at),
            PlanChanged(subscription_id=PLAN, order_id=CHANGE.order, plan=PLUS),
            SubscriptionRenewed(
                subscription_id=PLAN,
                order_id=CHANGE.order,
                anchor=at,
                units=1,
                period_start=at,
                period_end=end,
                access_end=end + POLICIES.grace,
                auto_renew=True,
                renew_at=end - 3 * DAY,
                renewed_at=at,
                paid=(PaidPeriod(order_id=CHANGE.order, start=at, end=end, sources=sources),),
                terms=AGREED,
            ),
            EntitlementGranted(
                resource=ROLE,
                until=end + POLICIES.grace,
                reason="subscription",
                order_id=CHANGE.order,
                subscription_id=PLAN,
            ),
            OrderFulfilled(order_id=CHANGE.order),
        )

    def test_it_renews_at_the_new_price(self) -> None:
        spec = until(changed(), NEW_END + HOUR - 3 * DAY)
        assert charge(spec).amount == usd(1999)

    def test_without_a_saved_method_it_is_paid_at_a_page(self) -> None:
        spec = bought("cinema:month").when(change(), at=MIDDLE, command_id=CHANGE.command)
        (call,) = [call for call in _calls(spec.events, bought("cinema:month")) if isinstance(call, CreateCheckout)]
        assert (call.amount, call.save_method) == (usd(1500), True)
        paged = spec.happens().when(answered(CHANGE.checkout, OPENED, ids=CHANGE), at=MIDDLE).happens()
        after = paged.when(reported(paid(usd(1500)), payment_id=CHANGE.payment), at=MIDDLE + HOUR).happens()
        assert subscription(after).plan == PLUS

    def test_a_cheaper_one_costs_nothing_and_the_rest_goes_back(self) -> None:
        yearly = bought_too(subscribed(), "cinema:quarter", at=T0 + DAY, ids=SECOND)
        events = yearly.when(change("kids:month"), at=MIDDLE, command_id=CHANGE.command).events
        assert isinstance(events[1], OrderPaymentWaived)
        spec = changing(yearly, "kids:month")
        held = subscription(spec)
        assert (held.plan, held.period_end) == (KIDS, NEW_END)
        assert set(spec.account.entitlements) == {Resource("role:kids")}
        # 4.99 of the first month and 25.00 of the quarter are left, 5.00 of it pays for the new month.
        assert {asked.payment_id: asked.amount for asked in spec.account.refunds.values()} == {
            SECOND.payment: usd(2499)
        }
        assert held.paid[0].sources == (
            Source(payment_id=ORDER.payment, amount=499),
            Source(payment_id=SECOND.payment, amount=1),
        )
        assert {asked.requested_by for asked in spec.account.refunds.values()} == {RefundedBy.POLICY}

    def test_by_setting_the_rest_is_kept(self) -> None:
        keep = Policies(plan_change_remainder=PlanChangeRemainder.KEEP)
        yearly = bought_too(subscribed(), "cinema:quarter", at=T0 + DAY, ids=SECOND)
        spec = yearly.when(change("kids:month"), at=MIDDLE, command_id=CHANGE.command, policies=keep).happens()
        assert spec.account.refunds == {}

    def test_another_role_takes_the_place_of_the_old_one(self) -> None:
        events = changing(price="kids:month").events
        assert EntitlementEnded(resource=ROLE, ended_at=MIDDLE) not in events
        due = subscribed().when(change("kids:month"), at=MIDDLE, command_id=CHANGE.command).happens()
        spec = due.when(told(AnswerStatus.SUCCEEDED, 1), at=MIDDLE).happens()
        assert set(spec.account.entitlements) == {Resource("role:kids")}

    def test_while_a_renewal_is_charged_that_renewal_is_given_up(self) -> None:
        spec = changing(until(subscribed(), FIRST), at=FIRST + HOUR)
        renewal = next(order for order in spec.account.orders.values() if order.purpose is OrderPurpose.RENEWAL)
        due = spec.account.orders[CHANGE.order].due.amount
        after = spec.when(told(AnswerStatus.SUCCEEDED, due), at=FIRST + HOUR).happens()
        assert subscription(after).plan == PLUS
        assert after.account.payments[renewal.payment_id].phase.kind == "closing"

    def test_of_a_trial_all_is_to_be_paid(self) -> None:
        trying = given().when(StartTrial(price_id=PriceId("arthouse:month")), command_id="try").happens()
        held = subscription(trying)
        asked = replace(change(), subscription_id=held.id)
        spec = trying.when(asked, at=T0 + DAY, command_id=CHANGE.command).happens()
        assert spec.account.orders[CHANGE.order].due == usd(1999)

    def test_asked_twice_it_is_one_order(self) -> None:
        changing().when(change(), at=MIDDLE + HOUR).then(OrderAlreadyPlaced(order_id=CHANGE.order))
        changing().when(change("kids:month"), at=MIDDLE + HOUR).then_rejected(OrderOpen, order_id=CHANGE.order)


def _calls(events: tuple[object, ...], spec: Spec) -> list[object]:
    account = spec
    calls: list[object] = []
    for event in events:
        account = account.and_given(event)
        calls.append(react(account.account, event))  # type: ignore[arg-type]
    return calls


class TestNowWithoutTheMoney:
    def test_declined_all_stays_as_it_was(self) -> None:
        spec = changing().when(told(AnswerStatus.DECLINED, decline_reason="insufficient_funds"), at=MIDDLE)
        assert OrderFailed(order_id=CHANGE.order, reason="insufficient_funds") in spec.events
        assert subscription(spec.happens()) == subscription(subscribed())
        again = spec.happens().when(change(), at=MIDDLE + HOUR, command_id="change 2").happens()
        assert again.account.orders[OrderId(derive("change 2", "order"))].status is OrderStatus.PENDING

    def test_it_waits_for_the_money_for_an_hour(self) -> None:
        asked = changing().when(
            told(AnswerStatus.ACTION_REQUIRED, confirmation_url="https://bank.example/confirm"), at=MIDDLE
        )
        spec = until(asked.happens(), MIDDLE + POLICIES.plan_change_expiry)
        assert spec.account.payments[CHANGE.payment].phase.kind == "closing"

    @pytest.mark.parametrize(
        "meanwhile",
        [
            CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW),
            PauseSubscription(subscription_id=PLAN),
        ],
    )
    def test_money_for_what_changed_meanwhile_goes_back(self, meanwhile: object) -> None:
        spec = changing().when(meanwhile, at=MIDDLE + HOUR, command_id="meanwhile").happens()
        after = spec.when(told(AnswerStatus.SUCCEEDED), at=MIDDLE + HOUR).happens()
        (back,) = [asked for asked in after.account.refunds.values() if asked.payment_id == CHANGE.payment]
        assert back.amount == usd(1500)
        assert after.account.orders[CHANGE.order].status is OrderStatus.FAILED
        assert subscription(after).product_id == "cinema"

    def test_money_after_the_order_ended_goes_back(self) -> None:
        failed = changing().when(told(AnswerStatus.DECLINED, decline_reason="try_again"), at=MIDDLE).happens()
        after = failed.when(told(AnswerStatus.SUCCEEDED), at=MIDDLE + HOUR).happens()
        assert [asked.amount for asked in after.account.refunds.values()] == [usd(1500)]
        assert subscription(after).product_id == "cinema"

    def test_money_for_a_role_that_was_bought_meanwhile_goes_back(self) -> None:
        spec = bought_too(changing(price="kids:month"), "kids:month", at=MIDDLE, ids=SECOND)
        after = spec.when(told(AnswerStatus.SUCCEEDED, 1), at=MIDDLE).happens()
        (back,) = [asked for asked in after.account.refunds.values() if asked.payment_id == CHANGE.payment]
        assert back.amount == usd(1)


class TestMoneyForTheOldPlan:
    """It comes after the plan has changed."""

    def test_for_more_of_it_begins_a_subscription_of_its_own(self) -> None:
        ordered = subscribed().when(place("cinema:month"), at=MIDDLE, command_id=SECOND.command).happens()
        kids = changing(ordered, "kids:month").when(told(AnswerStatus.SUCCEEDED, 1), at=MIDDLE).happens()
        paged = kids.when(answered(SECOND.checkout, OPENED, ids=SECOND), at=MIDDLE).happens()
        after = paged.when(reported(paid(usd(999)), payment_id=SECOND.payment), at=MIDDLE + HOUR).happens()
        assert set(after.account.entitlements) == {ROLE, Resource("role:kids")}
        assert after.account.subscriptions[PLAN] == kids.account.subscriptions[PLAN]
        (own,) = [each for each in after.account.subscriptions.values() if each.id != PLAN]
        assert (own.product_id, own.period_start, own.period_end) == ("cinema", MIDDLE + HOUR, NEW_END + HOUR)

    def test_for_its_renewal_goes_back(self) -> None:
        late = charge_answered(until(subscribed(), FIRST), AnswerStatus.ACTION_REQUIRED, at=FIRST, confirmation_url="u")
        payment = charge(late)
        late = late.when(ExpirePayment(payment_id=payment.id), at=payment.expires_at).happens()
        assert late.account.payments[payment.id].phase.kind == "closing"
        spec = changing(late, at=END + HOUR).when(told(AnswerStatus.SUCCEEDED, 1999), at=END + HOUR).happens()
        assert subscription(spec).plan == PLUS
        money = answer(AnswerStatus.SUCCEEDED, reference=payment.reference, amount=usd(999))
        after = spec.when(reported(money, payment_id=payment.id), at=END + 2 * HOUR).happens()
        assert subscription(after).plan == PLUS
        assert [asked.amount for asked in after.account.refunds.values()] == [usd(999)]


class TestMoneyBackAfterAChange:
    AT = MIDDLE + 2 * HOUR

    def test_all_of_it_within_the_window_with_the_credit(self) -> None:
        asked = RequestRefund(payment_id=CHANGE.payment)
        spec = changed().when(asked, at=self.AT, command_id="refund").happens()
        assert {each.payment_id: each.amount.amount for each in spec.account.refunds.values()} == {
            CHANGE.payment: 1500,
            ORDER.payment: 498,
        }
        for each in tuple(spec.account.refunds.values()):
            spec = spec.when(
                refund_answer(each, RefundAnswerStatus.SUCCEEDED), at=self.AT, command_id=each.id
            ).happens()
        assert subscription(spec).status is SubscriptionStatus.ENDED

    def test_what_became_credit_is_not_paid_back_for_itself(self) -> None:
        changed().when(RequestRefund(payment_id=ORDER.payment), at=self.AT).then_rejected(NothingToRefund)

    def test_cancelled_at_once_the_rest_of_both_goes_back(self) -> None:
        half = MIDDLE + HOUR + 14 * DAY
        now = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
        spec = changed().when(now, at=half, command_id="cancel").happens()
        assert {each.payment_id: each.amount.amount for each in spec.account.refunds.values()} == {
            CHANGE.payment: 750,
            ORDER.payment: 249,
        }
