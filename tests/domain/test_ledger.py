"""The books, event by event: what a sale debits and credits, and what time earns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given as anything
from hypothesis import strategies as st

from domain.calendar import Period, PeriodUnit, end_of
from domain.ledger.accounts import CHART, DEFERRED_REVENUE, EARNED_REVENUE, kind_of
from domain.ledger.entries import Schedule, ScheduleId, moved
from domain.ledger.journal import MOVES_NO_MONEY, RULES
from domain.money import AMOUNT_MAX, Money
from domain.orders.events import OrderPaymentWaived
from schemas.messages import EVENTS, Outcome
from tests.domain.ledger_kit import THE_END
from tests.domain.ledger_spec import (
    CASH,
    CINEMA,
    END,
    FILM,
    ORDER,
    OTHER,
    Ledger,
    access,
    film_bought,
    line,
    money,
    month_bought,
    paid,
    placed,
    renewed,
    started,
)
from tests.domain.spec import DAY, HOUR, MONTH, T0, usd


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
