"""A customer's balance: who puts credit onto it, what uses it before money, and how it comes back, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.balance.commands import GrantCredit, TakeBackCredit
from domain.balance.events import (
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.balance.state import payment_id_of
from domain.effects import RefundAnswer, RefundAnswerStatus
from domain.errors import (
    AmountOutOfRange,
    BalanceTooLarge,
    CreditExceedsBalance,
    CurrencyUnknown,
    NothingToRefund,
    RefundExceedsPayment,
)
from domain.ids import Resource
from domain.money import AMOUNT_MAX, Money
from domain.orders.commands import CancelOrder
from domain.orders.events import OrderCancelled, OrderExpired, OrderFulfilled, OrderPaid, OrderPlaced
from domain.orders.state import OrderStatus
from domain.payments.events import PaymentCreated
from domain.refunds.commands import AnswerRefund, RequestRefund
from domain.refunds.events import RefundRequested, RefundSucceeded
from domain.refunds.state import RefundStatus
from domain.subscriptions.commands import CancelAt, CancelSubscription
from domain.subscriptions.state import Source, SubscriptionStatus
from tests.domain.histories import (
    CLOSED,
    FILM,
    MIDDLE,
    OPENED,
    answered,
    due,
    opened,
    paid,
    place,
    reported,
    subscription,
)
from tests.domain.histories_of_balance import KEPT, given_back, granted, left, ordering, paying
from tests.domain.spec import DAY, ORDER, POLICIES, SECOND, T0, Spec, given, usd


class TestWhatManagersDo:
    def test_they_put_credit_onto_it(self) -> None:
        spec = (
            given()
            .when(GrantCredit(amount=usd(500), reason="sorry"))
            .then(CreditGranted(amount=usd(500), reason="sorry"))
        )
        again = spec.when(GrantCredit(amount=Money(amount=7, currency="EUR"), reason="sorry")).happens()
        assert again.account.balances == {"USD": 500, "EUR": 7}

    def test_they_take_back_what_is_unused(self) -> None:
        asked = TakeBackCredit(amount=usd(200), reason="a mistake")
        spec = granted(500).when(asked).then(CreditTakenBack(amount=usd(200), reason="a mistake"))
        assert left(spec) == 300

    def test_not_more_than_is_on_it(self) -> None:
        asked = TakeBackCredit(amount=usd(501), reason="a mistake")
        granted(500).when(asked).then_rejected(CreditExceedsBalance, balance_amount="500")
        euros = TakeBackCredit(amount=Money(amount=1, currency="EUR"), reason="a mistake")
        granted(500).when(euros).then_rejected(CreditExceedsBalance, balance_amount="0")

    def test_not_what_an_order_holds(self) -> None:
        ordering(500).when(TakeBackCredit(amount=usd(1), reason="?")).then_rejected(CreditExceedsBalance)

    @pytest.mark.parametrize("asked", [GrantCredit, TakeBackCredit])
    def test_no_amount_that_makes_no_sense(self, asked: type[GrantCredit] | type[TakeBackCredit]) -> None:
        for amount in (0, -1, AMOUNT_MAX + 1):
            granted(5).when(asked(amount=usd(amount), reason="?")).then_rejected(AmountOutOfRange)
        granted(5).when(asked(amount=Money(amount=1, currency="XXX"), reason="?")).then_rejected(CurrencyUnknown)

    def test_no_balance_without_bounds(self) -> None:
        full = granted(AMOUNT_MAX)
        full.when(GrantCredit(amount=usd(1), reason="?")).then_rejected(BalanceTooLarge, balance_max=str(AMOUNT_MAX))


class TestAnOrder:
    def test_is_charged_what_the_balance_leaves(self) -> None:
        placed, used, created = granted(300).when(place("solaris:own"), command_id=ORDER.command).events
        assert isinstance(placed, OrderPlaced)
        assert placed.total == usd(999)
        assert used == BalanceUsed(order_id=ORDER.order, amount=usd(300))
        assert isinstance(created, PaymentCreated)
        assert created.amount == usd(699)

    def test_paid_it_has_a_payment_for_each_part(self) -> None:
        spec = paying(ordering(300))
        assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED
        assert {payment.id: payment.amount for payment in spec.account.payments.values()} == {
            ORDER.payment: usd(699),
            KEPT: usd(300),
        }
        assert left(spec) == 0

    def test_that_is_covered_is_given_at_once_and_nobody_is_asked(self) -> None:
        decision = granted(1000).when(place("solaris:own"), command_id=ORDER.command)
        assert decision.calls == ()
        _, used, by_balance, order_paid, _, fulfilled = decision.events
        assert used == BalanceUsed(order_id=ORDER.order, amount=usd(999))
        assert by_balance == BalancePaid(payment_id=KEPT, order_id=ORDER.order, amount=usd(999), paid_at=T0)
        assert order_paid == OrderPaid(order_id=ORDER.order, payment_id=KEPT, paid_at=T0)
        assert fulfilled == OrderFulfilled(order_id=ORDER.order)
        assert left(decision.happens()) == 1
        decision.happens().then_waits_for({})

    def test_of_another_currency_does_not_touch_it(self) -> None:
        spec = granted(1000).when(place("solaris:eur")).happens()
        assert left(spec) == 1000

    def test_two_orders_do_not_use_the_same(self) -> None:
        spec = ordering(300).when(place("stalker:rent"), command_id=SECOND.command).happens()
        assert spec.account.payments[SECOND.payment].amount == usd(299)

    def test_for_several_things_each_has_its_part(self) -> None:
        spec = paying(ordering(1200, "cinema:month", "kids:month"))
        sources = {held.product_id: held.paid[0].sources for held in spec.account.subscriptions.values()}
        assert sources == {
            "cinema": (Source(payment_id=KEPT, amount=999),),
            "kids": (Source(payment_id=KEPT, amount=201), Source(payment_id=ORDER.payment, amount=299)),
        }


class TestAnOrderThatEnds:
    def test_cancelled_it_gives_back_what_it_held(self) -> None:
        cancelling = ordering(300).when(CancelOrder(order_id=ORDER.order)).happens()
        assert left(cancelling) == 0, "the page may still be paid"
        decision = cancelling.when(answered(ORDER.close, CLOSED))
        assert decision.events[1:] == (
            OrderCancelled(order_id=ORDER.order),
            BalanceReturned(order_id=ORDER.order, amount=usd(300)),
        )
        spec = decision.happens()
        assert left(spec) == 300
        spec.when(answered(ORDER.close, CLOSED)).then_nothing()

    def test_expired_too(self) -> None:
        expiring = due(ordering(300), T0 + POLICIES.payment_expiry)
        events = expiring.when(answered(ORDER.close, CLOSED)).events
        assert OrderExpired(order_id=ORDER.order) in events
        assert events[-1] == BalanceReturned(order_id=ORDER.order, amount=usd(300))

    def test_money_that_wins_the_race_against_the_cancel_buys_it(self) -> None:
        cancelling = ordering(300).when(CancelOrder(order_id=ORDER.order)).happens()
        spec = paying(cancelling)
        assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED
        spec.when(answered(ORDER.close, CLOSED)).then_nothing()
        assert left(spec) == 0

    def test_money_that_comes_late_takes_its_part_of_the_balance_again(self) -> None:
        spec = paying(_expired(ordering(300)), at=T0 + 2 * DAY)
        assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED
        assert (left(spec), spec.account.payments[KEPT].amount) == (0, usd(300))

    def test_where_the_balance_was_used_meanwhile_late_money_goes_back(self) -> None:
        taken = _expired(ordering(300)).when(TakeBackCredit(amount=usd(1), reason="?"), at=T0 + 2 * DAY).happens()
        spec = paying(taken, at=T0 + 2 * DAY)
        assert spec.account.entitlements == {}
        (refund,) = spec.account.refunds.values()
        assert (refund.payment_id, refund.amount, left(spec)) == (ORDER.payment, usd(699), 299)

    def test_of_what_is_bought_meanwhile_money_goes_back_first_then_the_balance(self) -> None:
        earlier = opened("solaris:own").when(CancelOrder(order_id=ORDER.order)).happens()
        both = earlier.and_given(CreditGranted(amount=usd(500), reason="sorry"))
        both = both.when(place("solaris:own", "stalker:rent"), command_id=SECOND.command).happens()
        both = both.when(answered(SECOND.checkout, OPENED, ids=SECOND)).happens()
        both = both.when(answered(ORDER.close, paid())).happens()
        spec = both.when(reported(paid(usd(798)), payment_id=SECOND.payment)).happens()
        assert {refund.payment_id: refund.amount for refund in spec.account.refunds.values()} == {
            SECOND.payment: usd(798),
            payment_id_of(SECOND.order): usd(201),
        }
        assert left(spec) == 201
        assert Resource("film:stalker") in given_back(spec).account.entitlements


def _expired(spec: Spec) -> Spec:
    expiring = due(spec, T0 + POLICIES.payment_expiry)
    return expiring.when(answered(ORDER.close, CLOSED), at=T0 + DAY).happens()


class TestRefunds:
    def test_all_within_the_window_goes_back_where_it_came_from(self) -> None:
        decision = paying(ordering(300)).when(RequestRefund(payment_id=ORDER.payment))
        money, onto, done, entry = decision.events
        assert isinstance(money, RefundRequested)
        assert (money.provider, money.amount) == ("stripe", usd(699))
        assert isinstance(onto, RefundRequested)
        assert (onto.provider, onto.amount, onto.payment_id) == ("balance", usd(300), KEPT)
        assert isinstance(done, RefundSucceeded)
        assert isinstance(entry, BalanceRefunded)
        assert len(decision.calls) == 1, "nobody is asked about the balance"
        spec = decision.happens()
        assert left(spec) == 300
        assert FILM in spec.account.entitlements, "access goes when the money does"
        assert FILM not in given_back(spec).account.entitlements

    def test_by_the_name_of_either_payment(self) -> None:
        spec = given_back(paying(ordering(300)).when(RequestRefund(payment_id=KEPT)).happens())
        assert left(spec) == 300
        assert {payment.refunded for payment in spec.account.payments.values()} == {300, 699}
        spec.when(RequestRefund(payment_id=KEPT)).then_rejected(NothingToRefund)
        spec.when(RequestRefund(payment_id=ORDER.payment)).then_rejected(NothingToRefund)

    def test_an_amount_comes_out_of_the_payment_that_is_named(self) -> None:
        bought = paying(ordering(300))
        asked = RequestRefund(payment_id=KEPT, amount=100, by_manager=True)
        spec = bought.when(asked).happens()
        assert left(spec) == 100
        assert spec.account.payments[ORDER.payment].refunding == 0
        assert FILM in spec.account.entitlements
        spec.when(replace(asked, amount=201)).then_rejected(RefundExceedsPayment, left_amount="200")

    def test_what_was_covered_is_back_at_once_with_its_access(self) -> None:
        bought = granted(999).when(place("solaris:own"), command_id=ORDER.command).happens()
        spec = bought.when(RequestRefund(payment_id=KEPT)).happens()
        assert (left(spec), spec.account.entitlements) == (999, {})
        (refund,) = spec.account.refunds.values()
        assert refund.status is RefundStatus.SUCCEEDED

    def test_money_that_comes_back_gives_again_what_went_with_the_last_part(self) -> None:
        spec = paying(ordering(300))
        spec = spec.when(RequestRefund(payment_id=ORDER.payment, amount=699, by_manager=True), command_id="a").happens()
        spec = given_back(spec)
        assert FILM in spec.account.entitlements, "the balance still pays for a part of it"
        spec = spec.when(RequestRefund(payment_id=KEPT, by_manager=True), command_id="b").happens()
        assert spec.account.entitlements == {}
        money = next(each for each in spec.account.refunds.values() if each.payment_id == ORDER.payment)
        failed = RefundAnswer(status=RefundAnswerStatus.FAILED, reference=money.reference)
        told = AnswerRefund(refund_id=money.id, effect_id=None, attempt=0, answer=failed)
        assert FILM in spec.when(told, at=T0 + DAY).happens().account.entitlements

    def test_of_unused_time_each_part_goes_back_to_where_it_came_from(self) -> None:
        subscribed = paying(ordering(499, "cinema:month"))
        spec = subscribed.when(
            CancelSubscription(subscription_id=ORDER.subscription("cinema"), at=CancelAt.NOW), at=MIDDLE
        ).happens()
        assert {refund.payment_id: refund.amount for refund in spec.account.refunds.values()} == {
            KEPT: usd(249),
            ORDER.payment: usd(250),
        }
        assert left(spec) == 249
        assert subscription(given_back(spec, at=MIDDLE)).status is SubscriptionStatus.ENDED
