"""The books, event by event: what is debited, what is credited, and what time earns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from hypothesis import given as anything
from hypothesis import strategies as st

from domain.calendar import Period, PeriodUnit, end_of
from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementGranted
from domain.ids import (
    EffectId,
    OrderId,
    PaymentId,
    PriceId,
    ProductId,
    RefundId,
    Resource,
    SubscriptionId,
)
from domain.ledger.accounts import CHART, DEFERRED_REVENUE, EARNED_REVENUE, kind_of
from domain.ledger.entries import Schedule, ScheduleId, moved
from domain.ledger.journal import MOVES_NO_MONEY, RULES
from domain.money import AMOUNT_MAX, Money
from domain.orders.events import OrderPaid, OrderPaymentWaived, OrderPlaced
from domain.orders.state import OrderLine, OrderPurpose
from domain.payments.events import PaymentSucceeded
from domain.refunds.events import RefundFailed, RefundReinstated, RefundRequested, RefundReversed, RefundSucceeded
from domain.refunds.state import RefundedBy
from domain.subscriptions.events import (
    PlanChanged,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionShortened,
    SubscriptionStarted,
)
from domain.subscriptions.state import PaidPeriod, Plan
from schemas.messages import EVENTS, Outcome
from tests.domain.ledger_kit import THE_END, Folded
from tests.domain.spec import DAY, HOUR, MONTH, T0, usd

if TYPE_CHECKING:
    from domain.ledger.journal import Entry

ORDER, OTHER = OrderId("order 1"), OrderId("order 2")
PAYMENT, AGAIN = PaymentId("payment 1"), PaymentId("payment 2")
REFUND = RefundId("refund 1")
PLAN, KIDS = SubscriptionId("subscription 1"), SubscriptionId("subscription 2")
CINEMA, FOR_KIDS, FILM = Resource("role:cinema"), Resource("role:kids"), Resource("film:solaris")
END = T0 + 30 * DAY
CASH = "provider_cash:stripe"


def line(
    amount: int, resource: Resource = FILM, *, discount: int = 0, period: Period | None = None, quantity: int = 1
) -> OrderLine:
    """A line of which `amount` is paid after the discount."""
    return OrderLine(
        product_id=ProductId("p"),
        price_id=PriceId("p:1"),
        kind=ProductKind.FILM if period is None else ProductKind.SUBSCRIPTION,
        title="P",
        resource=resource,
        unit_price=usd((amount + discount) // quantity),
        quantity=quantity,
        total=usd(amount + discount),
        period=period,
        discount_amount=discount,
    )


def placed(*lines: OrderLine, order_id: OrderId = ORDER) -> OrderPlaced:
    subtotal, discount = sum(each.total.amount for each in lines), sum(each.discount_amount for each in lines)
    return OrderPlaced(
        order_id=order_id,
        payment_id=PAYMENT,
        lines=lines,
        subtotal=usd(subtotal),
        discount=usd(discount),
        total=usd(subtotal - discount),
        auto_renew=True,
        placed_at=T0,
    )


def money(amount: int, *, payment_id: PaymentId = PAYMENT, order_id: OrderId = ORDER) -> PaymentSucceeded:
    return PaymentSucceeded(
        payment_id=payment_id,
        order_id=order_id,
        amount=usd(amount),
        provider="stripe",
        reference="cs_1",
        paid_at=T0,
        customer_reference=None,
        method_reference=None,
        method_label=None,
    )


def paid(order_id: OrderId = ORDER) -> OrderPaid:
    return OrderPaid(order_id=order_id, payment_id=PAYMENT, paid_at=T0)


def started(
    start: datetime = T0, end: datetime = END, *, name: SubscriptionId = PLAN, order_id: OrderId = ORDER
) -> SubscriptionStarted:
    return SubscriptionStarted(
        subscription_id=name,
        order_id=order_id,
        product_id=ProductId("p"),
        price_id=PriceId("p:1"),
        title="P",
        price=usd(3000),
        period=MONTH,
        periods=1,
        resource=CINEMA,
        auto_renew=True,
        period_start=start,
        period_end=end,
        access_end=end + 2 * DAY,
        renew_at=None,
    )


def renewed(start: datetime, end: datetime, *, order_id: OrderId = OTHER) -> SubscriptionRenewed:
    return SubscriptionRenewed(
        subscription_id=PLAN,
        order_id=order_id,
        anchor=T0,
        units=2,
        period_start=start,
        period_end=end,
        access_end=end,
        auto_renew=True,
        renew_at=None,
        renewed_at=start,
        paid=(),
    )


def access(
    resource: Resource = CINEMA,
    *,
    until: datetime | None = END + 2 * DAY,
    name: SubscriptionId | None = PLAN,
    order_id: OrderId = ORDER,
) -> EntitlementGranted:
    return EntitlementGranted(
        resource=resource, until=until, reason="subscription", order_id=order_id, subscription_id=name
    )


def promised(amount: int, *, payment_id: PaymentId = PAYMENT, refund_id: RefundId = REFUND) -> RefundRequested:
    return RefundRequested(
        refund_id=refund_id,
        payment_id=payment_id,
        order_id=ORDER,
        provider="stripe",
        payment_reference="cs_1",
        amount=usd(amount),
        reason="asked",
        rule="a manager decides",
        requested_by=RefundedBy.MANAGER,
        ends_access=False,
        effect_id=EffectId("effect"),
        requested_at=T0,
        repeat_at=T0,
    )


def gone(amount: int) -> RefundSucceeded:
    return RefundSucceeded(refund_id=REFUND, payment_id=PAYMENT, order_id=ORDER, amount=usd(amount), reference="re_1")


def bounced(amount: int) -> RefundReversed:
    return RefundReversed(
        refund_id=REFUND, payment_id=PAYMENT, order_id=ORDER, amount=usd(amount), reason="no", reversed_at=T0
    )


def refused(amount: int) -> RefundFailed:
    return RefundFailed(refund_id=REFUND, payment_id=PAYMENT, amount=usd(amount), reason="no")


def reinstated(amount: int) -> RefundReinstated:
    return RefundReinstated(
        refund_id=REFUND,
        payment_id=PAYMENT,
        order_id=ORDER,
        provider="stripe",
        amount=usd(amount),
        reference="re_2",
        reinstated_at=T0,
    )


class Ledger:
    """given(events).when(event, at).then(postings): the entries of one customer."""

    def __init__(self) -> None:
        self.folded = Folded()
        self.entry: Entry | None = None

    def given(self, *events: Any, at: datetime = T0) -> Ledger:
        for event in events:
            self.entry = self.folded.take(event, at)
            self.folded.check(at)
        return self

    when = given

    def then(self, *expected: tuple[str, str, int]) -> Ledger:
        """The last event posted exactly these: debit, credit, minor units."""
        assert self.entry is not None
        found = tuple((posting.debit, posting.credit, posting.amount.amount) for posting in self.entry.postings)
        assert found == expected
        return self

    def balances(self, at: datetime, **expected: int) -> Ledger:
        """The balances are these at a moment, and all others are zero."""
        found = {account.partition(":")[0]: amount for (account, _), amount in self.folded.balances(at).items()}
        assert {account: amount for account, amount in found.items() if amount} == expected
        return self


def film_bought() -> Ledger:
    return Ledger().given(placed(line(999)), money(999), paid(), access(FILM, until=None, name=None))


def month_bought(amount: int = 3000, *, discount: int = 0) -> Ledger:
    month = line(amount, CINEMA, discount=discount, period=MONTH)
    return Ledger().given(placed(month), money(amount), paid(), started(), access())


class TestSales:
    def test_an_order_is_no_receivable_while_it_may_be_given_up(self) -> None:
        Ledger().when(placed(line(999))).then().balances(THE_END)

    def test_money_is_the_customers_until_it_buys_something(self) -> None:
        ledger = Ledger().given(placed(line(999))).when(money(999)).then((CASH, "receivables", 999))
        ledger.balances(THE_END, provider_cash=999, receivables=-999)

    def test_a_sale_is_deferred(self) -> None:
        ledger = Ledger().given(placed(line(999)), money(999))
        ledger.when(paid()).then(("receivables", "deferred_revenue", 999))

    def test_what_is_given_for_ever_is_earned_at_once(self) -> None:
        film_bought().then(("deferred_revenue", "earned_revenue", 999)).balances(
            T0, provider_cash=999, earned_revenue=999
        )

    def test_what_is_given_for_a_time_is_earned_over_it(self) -> None:
        ledger = Ledger().given(placed(line(300)), money(300), paid())
        ledger.when(access(FILM, until=T0 + 48 * HOUR, name=None)).then()
        ledger.balances(T0 + 16 * HOUR, provider_cash=300, deferred_revenue=200, earned_revenue=100)

    def test_a_period_is_earned_day_by_day_and_all_of_it_by_its_end(self) -> None:
        ledger = month_bought(1000)
        for days, earned in ((0, 0), (1, 33), (2, 66), (3, 100), (29, 966), (30, 1000)):
            at = T0 + days * DAY
            assert ledger.folded.balances(at)[EARNED_REVENUE, "USD"] == earned
            assert ledger.folded.balances(at)[DEFERRED_REVENUE, "USD"] == 1000 - earned

    def test_a_discount_is_shown_with_the_time_that_it_was_given_for(self) -> None:
        ledger = month_bought(2700, discount=300)
        ledger.balances(T0 + 10 * DAY, provider_cash=2700, deferred_revenue=1800, earned_revenue=1000, discounts=100)
        ledger.balances(END, provider_cash=2700, earned_revenue=3000, discounts=300)

    def test_what_is_given_for_nothing_is_all_discount(self) -> None:
        waived = OrderPaymentWaived(order_id=ORDER, reason="free", waived_at=T0)
        ledger = Ledger().given(placed(line(0, CINEMA, discount=3000, period=MONTH)), waived, started(), access())
        ledger.balances(T0 + 10 * DAY, earned_revenue=1000, discounts=1000)

    def test_a_renewal_that_is_paid_before_the_end_is_earned_from_the_end_on(self) -> None:
        ledger = month_bought()
        early, then = END - 3 * DAY, END + 30 * DAY
        ledger.given(
            placed(line(3000, CINEMA, period=MONTH), order_id=OTHER),
            money(3000, order_id=OTHER),
            paid(OTHER),
            renewed(END, then),
            access(order_id=OTHER),
            at=early,
        )
        ledger.balances(END, provider_cash=6000, deferred_revenue=3000, earned_revenue=3000)
        ledger.balances(END + DAY, provider_cash=6000, deferred_revenue=2900, earned_revenue=3100)

    def test_a_renewal_that_is_paid_in_the_grace_catches_up_when_it_is_paid(self) -> None:
        ledger = month_bought()
        late = END + DAY
        ledger.given(
            placed(line(3000, CINEMA, period=MONTH), order_id=OTHER),
            money(3000, order_id=OTHER),
            paid(OTHER),
            renewed(END, END + 30 * DAY),
            access(order_id=OTHER),
            at=late,
        )
        ledger.balances(late - HOUR, provider_cash=3000, earned_revenue=3000)
        ledger.balances(late, provider_cash=6000, deferred_revenue=2900, earned_revenue=3100)

    def test_access_that_was_given_before_earns_nothing_again(self) -> None:
        month_bought().when(access(until=END)).then()

    def test_money_for_an_order_nobody_knows_is_kept_apart(self) -> None:
        Ledger().when(money(999)).then((CASH, "receivables", 999))
        Ledger().given(money(999)).when(paid()).then()


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


class TestRefunds:
    def test_what_was_earned_goes_back_out_of_refunds(self) -> None:
        film_bought().when(promised(400)).then(("refunds", "refunds_payable", 400))

    def test_it_is_taken_from_what_is_not_earned_first(self) -> None:
        at = T0 + 10 * DAY
        ledger = month_bought().when(promised(3000), at=at)
        ledger.then(("deferred_revenue", "refunds_payable", 2000), ("refunds", "refunds_payable", 1000))
        ledger.balances(THE_END, provider_cash=3000, refunds_payable=3000, earned_revenue=1000, refunds=1000)

    def test_a_part_leaves_less_to_be_earned_in_the_time_that_is_left(self) -> None:
        at = T0 + 10 * DAY
        ledger = month_bought().when(promised(500), at=at).then(("deferred_revenue", "refunds_payable", 500))
        ledger.balances(
            at + 10 * DAY, provider_cash=3000, refunds_payable=500, deferred_revenue=750, earned_revenue=1750
        )

    def test_the_money_goes(self) -> None:
        ledger = film_bought().given(promised(999)).when(gone(999)).then(("refunds_payable", CASH, 999))
        ledger.balances(T0, earned_revenue=999, refunds=999)
        ledger.when(gone(999)).then()

    def test_money_that_bought_nothing_goes_back_out_of_receivables(self) -> None:
        ledger = film_bought().given(money(999, payment_id=AGAIN))
        ledger.when(promised(999, payment_id=AGAIN)).then(("receivables", "refunds_payable", 999))

    def test_a_line_that_was_not_given_goes_back_out_of_what_is_deferred(self) -> None:
        ledger = Ledger().given(
            placed(line(999), line(500, FOR_KIDS)), money(1499), paid(), access(FILM, until=None, name=None)
        )
        ledger.when(promised(500)).then(("deferred_revenue", "refunds_payable", 500))
        ledger.balances(THE_END, provider_cash=1499, earned_revenue=999, refunds_payable=500)

    def test_cancelled_at_once_the_rest_is_not_earned_after_all(self) -> None:
        at = T0 + 10 * DAY
        ledger = month_bought().given(SubscriptionEnded(subscription_id=PLAN, ended_at=at), at=at)
        ledger.when(promised(2000), at=at).then(("earned_revenue", "refunds_payable", 2000))
        ledger.balances(THE_END, provider_cash=3000, earned_revenue=1000, refunds_payable=2000)

    def test_of_two_plans_the_one_that_was_ended_gives_it_back(self) -> None:
        at = T0 + 15 * DAY
        two = placed(line(3000, CINEMA, period=MONTH), line(1000, FOR_KIDS, period=MONTH))
        ledger = Ledger().given(
            two, money(4000), paid(), started(), access(), started(name=KIDS), access(FOR_KIDS, name=KIDS)
        )
        ledger.given(SubscriptionEnded(subscription_id=KIDS, ended_at=at), promised(500), at=at)
        ledger.then(("earned_revenue", "refunds_payable", 500))
        ledger.balances(END, provider_cash=4000, refunds_payable=500, earned_revenue=3500)

    def test_the_provider_refusing_it_leaves_the_books_as_they_were(self) -> None:
        at = T0 + 10 * DAY
        ledger = month_bought(2700, discount=300).given(promised(2700), at=at)
        ledger.when(refused(2700), at=at)
        ledger.then(("refunds_payable", "deferred_revenue", 1800), ("refunds_payable", "refunds", 900))
        ledger.balances(T0 + 20 * DAY, provider_cash=2700, deferred_revenue=900, earned_revenue=2000, discounts=200)
        ledger.balances(THE_END, provider_cash=2700, earned_revenue=3000, discounts=300)
        ledger.when(refused(2700), at=at).then()

    def test_refused_after_the_time_is_over_it_is_earned(self) -> None:
        ledger = month_bought().given(promised(1000), at=T0)
        ledger.when(refused(1000), at=END + DAY).then(("refunds_payable", "earned_revenue", 1000))
        ledger.balances(THE_END, provider_cash=3000, earned_revenue=3000)

    def test_money_that_went_and_came_back_is_cash_again(self) -> None:
        ledger = film_bought().given(promised(999), gone(999))
        ledger.when(refused(999)).then((CASH, "refunds_payable", 999), ("refunds_payable", "refunds", 999))
        ledger.balances(THE_END, provider_cash=999, earned_revenue=999)

    def test_money_that_was_refused_and_went_after_all_is_taken_from_what_there_is_now(self) -> None:
        ledger = month_bought().given(promised(1000), refused(1000))
        late = T0 + 10 * DAY
        ledger.when(reinstated(1000), at=late).then(("deferred_revenue", "refunds_payable", 1000))
        ledger.when(gone(1000), at=late).then(("refunds_payable", CASH, 1000))
        ledger.balances(late, provider_cash=2000, deferred_revenue=1000, earned_revenue=1000)
        ledger.balances(THE_END, provider_cash=2000, earned_revenue=2000)
        ledger.given(gone(1000), at=late).then()

    def test_and_after_the_time_is_over_out_of_refunds(self) -> None:
        ledger = month_bought().given(promised(1000), refused(1000))
        ledger.when(reinstated(1000), at=END + DAY).then(("refunds", "refunds_payable", 1000))


class TestSchedules:
    @anything(
        amount=st.integers(1, AMOUNT_MAX),
        seconds=st.integers(1, 10 * 366 * 86_400),
        cuts=st.lists(st.integers(0, 11 * 366 * 86_400), max_size=20),
    )
    def test_all_days_together_bring_exactly_the_amount(self, amount: int, seconds: int, cuts: list[int]) -> None:
        schedule = Schedule(
            id=ScheduleId("s"),
            debit=DEFERRED_REVENUE,
            credit=EARNED_REVENUE,
            amount=usd(amount),
            starts_at=T0,
            ends_at=T0 + timedelta(seconds=seconds),
            since=T0,
            order_id=ORDER,
            resource=CINEMA,
        )
        moments = [T0 - DAY, *sorted(T0 + timedelta(seconds=cut) for cut in cuts), T0 + timedelta(days=12 * 366)]
        sums = [moved(schedule, moment) for moment in moments]
        assert sums == sorted(sums)
        assert (sums[0], sums[-1]) == (0, amount)

    def test_the_month_of_a_plan_is_what_it_brings_in_an_average_month(self) -> None:
        def monthly(period: Period, quantity: int = 1) -> int:
            ledger = Ledger().given(placed(line(3000, CINEMA, period=period, quantity=quantity)), money(3000), paid())
            ledger.given(started(end=end_of(T0, period, quantity)), access())
            (schedule,) = ledger.folded.schedules.values()
            return schedule.monthly

        assert monthly(MONTH) == 3000
        assert monthly(Period(count=3, unit=PeriodUnit.MONTH)) == 1000
        assert monthly(MONTH, 6) == 500
        assert monthly(Period(count=30, unit=PeriodUnit.DAY)) == 3043

    def test_currencies_do_not_mix(self) -> None:
        yen = Money(amount=500, currency="JPY")
        other = replace(placed(replace(line(0), total=yen, unit_price=yen), order_id=OTHER), total=yen, subtotal=yen)
        ledger = film_bought().given(
            other,
            replace(money(500, order_id=OTHER), amount=yen),
            paid(OTHER),
            access(FILM, until=None, name=None, order_id=OTHER),
        )
        balances = ledger.folded.balances(T0)
        assert (balances[CASH, "USD"], balances[CASH, "JPY"]) == (999, 500)


def test_every_event_has_a_rule_or_moves_no_money() -> None:
    """A new event must say which: otherwise the books would pass it over in silence."""
    assert not RULES.keys() & MOVES_NO_MONEY
    assert set(EVENTS.values()) == RULES.keys() | MOVES_NO_MONEY | set(get_args(Outcome))


def test_every_ledger_account_of_the_chart_has_a_kind() -> None:
    assert {kind_of(account) for account in CHART}
    assert kind_of(CASH) is kind_of("provider_cash")
    assert datetime(2030, 1, 1, tzinfo=UTC) < THE_END
