"""A renewal that is declined lets go of the balance: it is the customer's until the next attempt takes some of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.balance.commands import GrantCredit, TakeBackCredit
from domain.balance.events import BalanceReturned, BalanceUsed, CreditGranted
from domain.balance.state import available, payment_id_of
from domain.effects import AnswerStatus
from domain.errors import CreditExceedsBalance
from domain.ids import PriceId, Resource
from domain.orders.state import OrderPurpose, OrderStatus
from domain.payments.commands import RemovePaymentMethod
from domain.payments.events import PaymentFailed
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    ExtendSubscription,
    PauseSubscription,
)
from domain.subscriptions.events import RenewalFailed
from domain.subscriptions.state import Source, SubscriptionStatus
from tests.domain.histories import (
    METHOD,
    OPENED,
    answered,
    charge,
    charge_answered,
    paid,
    place,
    refund,
    reported,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, SECOND, Spec, usd

PLAN = ORDER.subscription("cinema")
END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
NEXT_END = datetime(2030, 3, 31, 12, 30, tzinfo=UTC)
FIRST, AGAIN = END - 3 * DAY, END - DAY


def left(spec: Spec) -> int:
    return available(spec.account, "USD").amount


def charging(credit: int = 400) -> Spec:
    return until(subscribed().and_given(CreditGranted(amount=usd(credit), reason="sorry")), FIRST)


def declined(credit: int = 400, *, hard: bool = False) -> Spec:
    return charge_answered(charging(credit), AnswerStatus.DECLINED, at=FIRST, decline_reason="no money", hard=hard)


class TestWhileItIsTried:
    def test_what_is_asked_for_is_held_and_the_decline_lets_it_go(self) -> None:
        spec = charging()
        assert (left(spec), charge(spec).amount) == (0, usd(599))
        spec = declined()
        payment, failed, back = spec.events[-3:]
        assert isinstance(payment, PaymentFailed)
        assert isinstance(failed, RenewalFailed)
        order = charge(spec).order_id
        assert back == BalanceReturned(order_id=order, amount=usd(400))
        assert (left(spec), spec.account.orders[order].due, spec.account.orders[order].status) == (
            400,
            usd(999),
            OrderStatus.PENDING,
        )

    def test_the_next_attempt_takes_what_is_there_then(self) -> None:
        again = until(declined(), AGAIN)
        assert (left(again), charge(again).amount) == (0, usd(599))
        assert len([event for event in again.events if isinstance(event, BalanceUsed)]) == 2
        renewed = charge_answered(again, AnswerStatus.SUCCEEDED, at=AGAIN)
        assert (left(renewed), subscription(renewed).period_end) == (0, NEXT_END)
        assert subscription(renewed).paid[-1].sources == (
            Source(payment_id=payment_id_of(charge(again).order_id), amount=400),
            Source(payment_id=charge(again).id, amount=599),
        )

    @pytest.mark.parametrize(("more", "asked"), [(100, 499), (598, 1)])
    def test_credit_that_came_in_between_pays_too(self, more: int, asked: int) -> None:
        spec = declined().when(GrantCredit(amount=usd(more), reason="sorry"), at=FIRST + HOUR).happens()
        assert charge(until(spec, AGAIN)).amount == usd(asked)

    def test_credit_that_covers_it_pays_alone(self) -> None:
        spec = declined().when(GrantCredit(amount=usd(600), reason="sorry"), at=FIRST + HOUR).happens()
        bare = spec.when(RemovePaymentMethod(method_reference=METHOD.method_reference), at=FIRST + HOUR).happens()
        renewed = until(bare, AGAIN)
        assert (left(renewed), subscription(renewed).status) == (1, SubscriptionStatus.ACTIVE)
        assert subscription(renewed).period_end == NEXT_END

    def test_credit_that_went_in_between_is_charged(self) -> None:
        spec = declined().when(TakeBackCredit(amount=usd(400), reason="a mistake"), at=FIRST + HOUR).happens()
        again = until(spec, AGAIN)
        assert (left(again), charge(again).amount) == (0, usd(999))
        charging().when(TakeBackCredit(amount=usd(1), reason="?"), at=FIRST).then_rejected(CreditExceedsBalance)

    def test_while_the_customer_is_to_confirm_it_stays_held(self) -> None:
        asked = charge_answered(
            charging(), AnswerStatus.ACTION_REQUIRED, at=FIRST, confirmation_url="https://pay.example/confirm"
        )
        assert left(asked) == 0

    def test_without_a_means_of_payment_nothing_is_held_at_a_later_attempt_either(self) -> None:
        spec = declined().when(RemovePaymentMethod(method_reference=METHOD.method_reference), at=FIRST).happens()
        assert left(until(spec, AGAIN)) == 400


class TestThenItIsOver:
    def test_nothing_is_held_after_a_decline_that_is_not_tried_again(self) -> None:
        spec = declined(hard=True)
        assert left(spec) == 400
        over = until(spec, END + POLICIES.grace)
        assert (left(over), subscription(over).status) == (400, SubscriptionStatus.ENDED)

    def test_given_up_by_the_customer_it_stays_on_the_balance(self) -> None:
        cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
        assert left(declined().when(cancel, at=FIRST + HOUR).happens()) == 400

    @pytest.mark.parametrize(
        "other",
        [
            PauseSubscription(subscription_id=PLAN),
            ExtendSubscription(subscription_id=PLAN, days=3, reason="kindness"),
            ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.PERIOD_END),
        ],
        ids=["paused", "extended", "another plan at the end"],
    )
    def test_whatever_else_ends_it_gives_nothing_back_twice(self, other: object) -> None:
        spec = declined().when(other, at=FIRST + HOUR).happens()
        assert left(spec) == 400
        assert len([event for event in spec.events if isinstance(event, BalanceReturned)]) == 1


class TestItCanBeSpentInTheMeantime:
    def test_on_a_film_and_the_renewal_asks_for_more(self) -> None:
        spec = declined().when(place("stalker:rent"), at=FIRST + HOUR, command_id=SECOND.command).happens()
        assert Resource("film:stalker") in spec.account.entitlements
        assert (left(spec), charge(until(spec, AGAIN)).amount) == (101, usd(898))

    def test_on_the_plan_itself_bought_early(self) -> None:
        """What the balance was to pay of the renewal, it pays of the order that takes its place."""
        spec = declined().when(place("cinema:month"), at=FIRST + HOUR, command_id=SECOND.command).happens()
        spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND), at=FIRST + HOUR).happens()
        assert spec.account.payments[SECOND.payment].amount == usd(599)
        bought = reported(paid(usd(599)), payment_id=SECOND.payment)
        spec = spec.when(bought, at=FIRST + 2 * HOUR).happens()
        (renewal,) = [order for order in spec.account.orders.values() if order.purpose is OrderPurpose.RENEWAL]
        assert (renewal.status, renewal.balance_used) == (OrderStatus.CANCELLED, 0)
        assert (left(spec), subscription(spec).period_end) == (0, NEXT_END)
        assert subscription(spec).status is SubscriptionStatus.ACTIVE

    def test_on_another_plan_at_once(self) -> None:
        change = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.NOW)
        spec = declined().when(change, at=FIRST + HOUR, command_id="change").happens()
        (changing,) = [order for order in spec.account.orders.values() if order.purpose is OrderPurpose.PLAN_CHANGE]
        assert changing.balance_used == 400

    def test_an_earlier_attempt_that_was_paid_after_all_takes_its_part_again(self) -> None:
        first = charge(charging())
        late = reported(paid(usd(599), reference=f"charge of {first.id}"), payment_id=first.id)
        spec = declined().when(late, at=FIRST + HOUR).happens()
        assert (left(spec), subscription(spec).period_end) == (0, NEXT_END)

    def test_where_that_was_spent_its_money_goes_back_and_the_renewal_goes_on(self) -> None:
        first = charge(charging())
        late = reported(paid(usd(599), reference=f"charge of {first.id}"), payment_id=first.id)
        spent = declined().when(TakeBackCredit(amount=usd(1), reason="?"), at=FIRST).happens()
        spec = spent.when(late, at=FIRST + HOUR).happens()
        assert (refund(spec).amount, left(spec), subscription(spec).period_end) == (usd(599), 399, END)
        assert refund(spec).reason == "the customer's balance was to pay the rest and was spent"
        assert charge(until(spec, AGAIN)).amount == usd(600)
