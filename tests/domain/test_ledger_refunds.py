"""Refunds in the books: what goes back is taken from what is not earned first, and a refusal puts it back."""

from __future__ import annotations

from domain.subscriptions.events import SubscriptionEnded
from tests.domain.ledger_kit import THE_END
from tests.domain.ledger_spec import (
    AGAIN,
    CASH,
    CINEMA,
    END,
    FILM,
    FOR_KIDS,
    KIDS,
    PLAN,
    Ledger,
    access,
    film_bought,
    gone,
    line,
    money,
    month_bought,
    paid,
    placed,
    promised,
    refused,
    reinstated,
    started,
)
from tests.domain.spec import DAY, MONTH, T0


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

    def test_of_two_plans_each_gives_the_same_part_of_what_is_not_earned(self) -> None:
        at = T0 + 15 * DAY
        two = placed(line(3000, CINEMA, period=MONTH), line(3000, FOR_KIDS, period=MONTH, quantity=2))
        ledger = Ledger().given(two, money(6000), paid(), started(), access())
        ledger.given(started(end=T0 + 60 * DAY, name=KIDS), access(FOR_KIDS, until=T0 + 62 * DAY, name=KIDS))
        ledger.when(promised(500), at=at)
        ledger.then(("deferred_revenue", "refunds_payable", 200), ("deferred_revenue", "refunds_payable", 300))
        ledger.balances(END, provider_cash=6000, refunds_payable=500, deferred_revenue=1300, earned_revenue=4200)
        ledger.when(refused(500), at=at)
        ledger.balances(END, provider_cash=6000, deferred_revenue=1500, earned_revenue=4500)

    def test_time_of_plans_gives_before_what_a_film_is_watched_for(self) -> None:
        rented = line(3000)
        both = placed(rented, line(3000, CINEMA, period=MONTH))
        ledger = Ledger().given(both, money(6000), paid(), access(FILM, until=END, name=None), started(), access())
        ledger.when(promised(1000), at=T0)
        ledger.given(SubscriptionEnded(subscription_id=PLAN, ended_at=T0), at=T0)
        ledger.balances(T0, provider_cash=6000, refunds_payable=1000, deferred_revenue=3000, earned_revenue=2000)

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
