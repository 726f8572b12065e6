"""A customer's balance: who puts credit onto it, what uses it before money, and how it comes back, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

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
from domain.effects import AnswerStatus, RefundAnswer, RefundAnswerStatus
from domain.errors import (
    AmountOutOfRange,
    BalanceTooLarge,
    CreditExceedsBalance,
    CreditInvalid,
    CurrencyUnknown,
    NothingToRefund,
    RefundExceedsPayment,
)
from domain.ids import OrderId, PriceId, Resource, derive
from domain.money import AMOUNT_MAX, Money
from domain.orders.commands import CancelOrder
from domain.orders.events import OrderCancelled, OrderExpired, OrderFailed, OrderFulfilled, OrderPaid, OrderPlaced
from domain.orders.state import OrderStatus
from domain.payments.commands import RemovePaymentMethod
from domain.payments.events import PaymentCreated
from domain.policies.settings import PlanChangeRemainder, Policies
from domain.refunds.commands import AnswerRefund, RequestRefund
from domain.refunds.events import RefundRequested, RefundSucceeded
from domain.refunds.state import RefundStatus
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ChangePlan
from domain.subscriptions.state import Source, SubscriptionStatus
from tests.domain.histories import (
    CLOSED,
    DECLINED,
    METHOD,
    METHOD_FIELDS,
    OPENED,
    answered,
    charge,
    charge_answered,
    due,
    opened,
    paid,
    place,
    refund_answer,
    reported,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, ORDER, POLICIES, SECOND, T0, Spec, given, usd

FILM, ROLE = Resource("film:solaris"), Resource("role:cinema")
KEPT = payment_id_of(ORDER.order)
END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
FIRST = END - 3 * DAY
MIDDLE = T0 + 14 * DAY


def granted(amount: int) -> Spec:
    return given(CreditGranted(amount=usd(amount), reason="sorry"))


def ordering(amount: int, *prices: str) -> Spec:
    """An order of somebody with so much on the balance, whose page is open."""
    spec = granted(amount).when(place(*(prices or ("solaris:own",))), command_id=ORDER.command).happens()
    return spec.when(answered(ORDER.checkout, OPENED)).happens()


def paying(spec: Spec, *, at: datetime = T0) -> Spec:
    """The customer pays at the page whatever is asked for there."""
    told = paid(spec.account.payments[ORDER.payment].amount, **METHOD_FIELDS)
    return spec.when(reported(told), at=at).happens()


def left(spec: Spec, currency: str = "USD") -> int:
    return spec.account.balances.get(currency, 0)


def given_back(spec: Spec, *, at: datetime = T0) -> Spec:
    for each in tuple(spec.account.refunds.values()):
        if each.call is not None:
            spec = spec.when(refund_answer(each, RefundAnswerStatus.SUCCEEDED), at=at).happens()
    return spec


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

    @pytest.mark.parametrize("reason", ["", "x" * 201])
    def test_no_reason_that_says_nothing_or_too_much(self, reason: str) -> None:
        given().when(GrantCredit(amount=usd(1), reason=reason)).then_rejected(CreditInvalid)
        granted(5).when(TakeBackCredit(amount=usd(1), reason=reason)).then_rejected(CreditInvalid)

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
