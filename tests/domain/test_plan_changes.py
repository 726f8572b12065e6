"""Another plan: now, with what is left of the old one as credit, or with the next period."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, ChargeMethod, CreateCheckout, RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import (
    AlreadyEntitled,
    CurrencyMismatch,
    NothingToRefund,
    OrderOpen,
    PlanChangeRefused,
    PlanUnchanged,
    PriceInvalid,
    PriceUnknown,
    SubscriptionNotRunning,
    SubscriptionUnknown,
)
from domain.ids import EffectId, OrderId, PaymentId, PriceId, Resource, SubscriptionId, derive
from domain.orders.events import OrderAlreadyPlaced, OrderFailed, OrderFulfilled, OrderPaid, OrderPaymentWaived
from domain.orders.state import OrderPurpose, OrderStatus
from domain.payments.events import PaymentCreated
from domain.policies.reactions import react
from domain.policies.settings import Policies
from domain.refunds.commands import RequestRefund
from domain.refunds.state import RefundedBy
from domain.subscriptions.attempts import ROLE_HELD
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    PauseSubscription,
    ResumeSubscription,
    StartTrial,
)
from domain.subscriptions.events import (
    PlanChanged,
    PlanChangeDropped,
    PlanChangeScheduled,
    RenewalFailed,
    SubscriptionRenewed,
)
from domain.subscriptions.state import PaidPeriod, Plan, PlannedChange, Source, SubscriptionStatus
from tests.domain.histories import (
    OPENED,
    answer,
    answered,
    bought,
    bought_too,
    charge,
    charge_answered,
    paid,
    refund_answer,
    reported,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, MONTH, ORDER, POLICIES, SECOND, T0, Ids, Spec, given, usd

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = ORDER.subscription("cinema")
ROLE = Resource("role:cinema")
END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
FIRST = END - 3 * DAY
MIDDLE = T0 + 14 * DAY
NEW_END = datetime(2030, 3, 14, 12, 30, tzinfo=UTC)
CHANGE = Ids("change 1")
CHARGE = EffectId(derive(CHANGE.payment, "charge"))


def change(price: str = "cinema-plus:month", at: ChangeAt = ChangeAt.NOW) -> ChangePlan:
    return ChangePlan(subscription_id=PLAN, price_id=PriceId(price), at=at, provider="stripe")


LATER = change(at=ChangeAt.PERIOD_END)
PLUS = Plan(
    product_id=subscription(bought("cinema-plus:month")).product_id,
    price_id=PriceId("cinema-plus:month"),
    title="Cinema-Plus",
    price=usd(1999),
    period=MONTH,
    resource=ROLE,
)
KIDS = replace(
    PLUS,
    product_id=subscription(bought("kids:month")).product_id,
    price_id=PriceId("kids:month"),
    title="Kids",
    price=usd(500),
    resource=Resource("role:kids"),
)


def changing(spec: Spec | None = None, price: str = "cinema-plus:month", at: datetime = MIDDLE) -> Spec:
    """A change now whose difference is being charged."""
    return (spec or subscribed()).when(change(price), at=at, command_id=CHANGE.command).happens()


def told(status: AnswerStatus, amount: int = 1500, **fields: object) -> object:
    found = answer(status, reference="ch_1", amount=usd(amount) if status is AnswerStatus.SUCCEEDED else None, **fields)
    return answered(CHARGE, found, ids=CHANGE)


def changed(spec: Spec | None = None) -> Spec:
    """A change now whose difference was paid."""
    return (spec or changing()).when(told(AnswerStatus.SUCCEEDED), at=MIDDLE + HOUR).happens()


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
        keep = Policies(plan_change_refunds=False)
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


class TestAtTheEnd:
    def test_it_begins_with_the_next_period(self) -> None:
        spec = (
            subscribed()
            .when(LATER, at=MIDDLE)
            .then(
                PlanChangeScheduled(
                    subscription_id=PLAN, change=PlannedChange(plan=PLUS), renew_at=END, announced_at=MIDDLE
                )
            )
        )
        spec.then_waits_for({"RenewSubscription": END, "EndPeriod": END})
        charging = until(spec, END)
        assert charge(charging).amount == usd(1999)
        assert subscription(charging).product_id == "cinema", "until the money is there"
        renewed = charge_answered(charging, AnswerStatus.SUCCEEDED, at=END + HOUR)
        held = subscription(renewed)
        assert (held.plan, held.period_start, held.planned) == (PLUS, END, None)
        assert held.period_end == datetime(2030, 3, 31, 12, 30, tzinfo=UTC), "the anchor day is kept"

    def test_without_grace_it_is_charged_while_there_still_is_access(self) -> None:
        no_grace = Policies(grace=timedelta(0))
        spec = subscribed().when(LATER, at=MIDDLE, policies=no_grace).happens()
        assert charge(until(spec, END - HOUR, policies=no_grace)).amount == usd(1999)

    def test_another_role_begins_with_it(self) -> None:
        spec = subscribed().when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        renewed = charge_answered(until(spec, END), AnswerStatus.SUCCEEDED, at=END + HOUR)
        assert set(renewed.account.entitlements) == {Resource("role:kids")}

    def test_from_months_to_days_and_back(self) -> None:
        spec = subscribed().when(change("cinema:days", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        renewed = charge_answered(until(spec, END), AnswerStatus.SUCCEEDED, at=END)
        assert (subscription(renewed).anchor, subscription(renewed).period_end) == (END, END + 30 * DAY)

    def test_again_is_harmless_and_another_takes_its_place(self) -> None:
        spec = subscribed().when(LATER, at=MIDDLE).happens()
        spec.when(LATER, at=MIDDLE + HOUR).then_nothing()
        other = spec.when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE + HOUR).happens()
        assert subscription(other).next_plan == KIDS

    def test_the_present_plan_drops_it(self) -> None:
        spec = subscribed().when(LATER, at=MIDDLE).happens()
        back = spec.when(change("cinema:month", ChangeAt.PERIOD_END), at=MIDDLE + HOUR)
        dropped = back.then(PlanChangeDropped(subscription_id=PLAN, renew_at=FIRST))
        assert charge(until(dropped, FIRST)).amount == usd(999)

    def test_while_the_old_one_is_charged_that_renewal_is_given_up(self) -> None:
        spec = until(subscribed(), FIRST).when(LATER, at=FIRST + HOUR).happens()
        old = next(payment for payment in spec.account.payments.values() if payment.method is not None)
        assert old.phase.kind == "closing"
        assert charge(until(spec, END)).amount == usd(1999)

    def test_in_the_grace_it_is_charged_at_once(self) -> None:
        declined = charge_answered(
            until(subscribed(), FIRST), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True
        )
        spec = until(declined, END).when(LATER, at=END + HOUR).happens()
        assert charge(until(spec, END + HOUR)).amount == usd(1999)

    def test_of_what_does_not_renew_it_waits_for_that(self) -> None:
        cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
        spec = subscribed().when(cancel, at=MIDDLE).happens().when(LATER, at=MIDDLE).happens()
        assert subscription(spec).renew_at is None
        on = spec.when(ResumeSubscription(subscription_id=PLAN), at=MIDDLE + HOUR).happens()
        assert subscription(on).renew_at == END
        assert charge(until(on, END)).amount == usd(1999)

    def test_paid_ahead_it_begins_after_all_that_is_paid(self) -> None:
        spec = bought_too(subscribed().when(LATER, at=MIDDLE).happens(), "cinema:month", at=MIDDLE, ids=SECOND)
        assert subscription(spec).renew_at == datetime(2030, 3, 31, 12, 30, tzinfo=UTC)

    def test_a_role_that_was_bought_meanwhile_is_not_charged_twice(self) -> None:
        spec = subscribed().when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        both = bought_too(spec, "kids:month", at=MIDDLE + DAY, ids=SECOND)
        over = until(both, END)
        failed = [event for event in over.events if isinstance(event, RenewalFailed)]
        assert [(event.reason, event.hard) for event in failed] == [(ROLE_HELD, True)]
        assert len([event for event in over.events if isinstance(event, PaymentCreated)]) == 2

    def test_a_role_that_was_bought_while_it_was_charged_is_given_back(self) -> None:
        spec = subscribed().when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        both = bought_too(until(spec, END), "kids:month", at=END, ids=SECOND)
        renewing = next(each for each in both.account.subscriptions.values() if each.id == PLAN)
        payment = both.account.payments[both.account.orders[OrderId(str(renewing.renewal_order_id))].payment_id]
        assert payment.call is not None
        told_it = answer(AnswerStatus.SUCCEEDED, reference="ch_2", amount=usd(500))
        command = replace(answered(payment.call.effect_id, told_it), payment_id=PaymentId(payment.id))
        after = both.when(command, at=END + HOUR).happens()
        assert [asked.amount for asked in after.account.refunds.values()] == [usd(500)]


def paused() -> Spec:
    return subscribed().when(PauseSubscription(subscription_id=PLAN), at=MIDDLE).happens()


def being_paid_back() -> Spec:
    asked = RequestRefund(payment_id=ORDER.payment)
    return subscribed().when(asked, at=T0 + 2 * HOUR, command_id="refund").happens()


class TestRefusals:
    @pytest.mark.parametrize("at", ChangeAt)
    @pytest.mark.parametrize(
        ("price", "error"),
        [
            ("cinema:eur", CurrencyMismatch),
            ("solaris:own", PriceInvalid),
            ("gone:own", PriceUnknown),
            ("old:cheap", PriceUnknown),
            ("x:y", PriceUnknown),
        ],
    )
    def test_a_price_that_does_not_fit(self, price: str, error: type, at: ChangeAt) -> None:
        subscribed().when(change(price, at), at=MIDDLE).then_rejected(error)

    @pytest.mark.parametrize("at", ChangeAt)
    def test_the_plan_that_it_has(self, at: ChangeAt) -> None:
        subscribed().when(change("cinema:month", at), at=MIDDLE).then_rejected(PlanUnchanged, price_id="cinema:month")
        after = changed().when(change(at=at), at=MIDDLE + DAY)
        after.then_rejected(PlanUnchanged, price_id="cinema-plus:month")

    @pytest.mark.parametrize("at", ChangeAt)
    def test_a_role_that_is_held_already(self, at: ChangeAt) -> None:
        both = bought_too(subscribed(), "kids:month", at=T0 + DAY, ids=SECOND)
        both.when(change("kids:month", at), at=MIDDLE).then_rejected(AlreadyEntitled, resource="role:kids")
        resting = both.when(PauseSubscription(subscription_id=SECOND.subscription("kids")), at=T0 + DAY).happens()
        resting.when(change("kids:month", at), at=MIDDLE).then_rejected(AlreadyEntitled)

    @pytest.mark.parametrize("at", ChangeAt)
    def test_of_what_has_ended_or_nobody_knows(self, at: ChangeAt) -> None:
        over = until(subscribed(auto_renew=False), END)
        over.when(change(at=at), at=END).then_rejected(SubscriptionNotRunning, status="ended")
        unknown = replace(change(at=at), subscription_id=SubscriptionId("x"))
        given().when(unknown).then_rejected(SubscriptionUnknown)

    @pytest.mark.parametrize(
        ("history", "reason"),
        [(paused, "it is paused"), (being_paid_back, "money of it is being given back")],
    )
    def test_now_is_not_the_time(self, history: Callable[[], Spec], reason: str) -> None:
        history().when(change(), at=MIDDLE).then_rejected(PlanChangeRefused, reason=reason)
