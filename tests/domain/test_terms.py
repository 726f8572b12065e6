"""A product's own policies: checked like the settings, agreed with an order, and true for it whatever comes later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.calendar import Period, PeriodUnit
from domain.catalog.commands import DefineProduct
from domain.catalog.events import PriceAdded, ProductDefined
from domain.catalog.state import Offer, ProductKind
from domain.effects import AnswerStatus
from domain.errors import NothingToRefund, ProductTermsInvalid
from domain.ids import PriceId, ProductId
from domain.orders.events import OrderPlaced
from domain.policies.settings import Policies
from domain.policies.terms import TERMS, Terms, agreed, under
from domain.pricing.quote import Candidates
from domain.refunds.commands import RequestRefund
from domain.refunds.rules import UNUSED, WINDOW
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    ExtendSubscription,
    PauseSubscription,
    ResumeSubscription,
    StartTrial,
)
from domain.subscriptions.events import RenewalFailed, SubscriptionStarted
from domain.subscriptions.preview import preview
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    END,
    MIDDLE,
    NEXT_END,
    PLAN,
    bought,
    bought_too,
    charge_answered,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import (
    AGREED,
    DAY,
    HOUR,
    MONTH,
    OFFERS,
    ORDER,
    POLICIES,
    SECOND,
    T0,
    CatalogSpec,
    Spec,
    given,
    price,
    usd,
)

OWN = Terms(
    grace=5 * DAY,
    refund_window=DAY,
    refund_unused=False,
    renewal_offsets=(-2 * DAY, timedelta(0), 4 * DAY),
)
OTHER_SETTINGS = Policies(
    grace=timedelta(0), refund_window=timedelta(0), refund_unused=False, renewal_offsets=(-7 * DAY, timedelta(0))
)


def prices(**terms: Terms | None) -> dict[PriceId, Offer]:
    """The common catalogue, but that some products have terms of their own."""
    return {
        name: replace(offer, product=replace(offer.product, terms=terms[offer.product.id]))
        if offer.product.id in terms
        else offer
        for name, offer in OFFERS.items()
    }


ASK = RequestRefund(payment_id=ORDER.payment)
OFF = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
ON = ResumeSubscription(subscription_id=PLAN)


def later(name: str) -> ChangePlan:
    """Another plan with the next period."""
    return ChangePlan(subscription_id=PLAN, price_id=PriceId(name), at=ChangeAt.PERIOD_END, provider="stripe")


def from_before(event: Any) -> Any:
    """An event as the log has it from before orders recorded terms."""
    if isinstance(event, OrderPlaced):
        return replace(event, lines=tuple(replace(line, terms=None) for line in event.lines))
    return replace(event, terms=None) if isinstance(event, SubscriptionStarted) else event


def by_own_terms(*names: str, **changed: Any) -> Spec:
    """A subscription that was agreed on terms of its product's own."""
    return subscribed(*names, under={"prices": prices(cinema=OWN)}, **changed)


class TestTheCatalogue:
    PLAN = DefineProduct(
        product_id=ProductId("cinema"),
        kind=ProductKind.SUBSCRIPTION,
        title="Cinema",
        role="cinema",
        prices=(price("cinema:month", usd(999), MONTH),),
    )
    FILM = DefineProduct(
        product_id=ProductId("solaris"),
        kind=ProductKind.FILM,
        title="Solaris",
        prices=(price("solaris:own", usd(999)),),
    )

    def on_sale(self, terms: Terms | None) -> tuple[ProductDefined, PriceAdded]:
        defined = ProductDefined(
            product_id=self.PLAN.product_id,
            kind=self.PLAN.kind,
            title="Cinema",
            description="",
            role="cinema",
            validity_days=None,
            terms=terms,
        )
        return defined, PriceAdded(product_id=self.PLAN.product_id, price=self.PLAN.prices[0])

    def test_a_product_may_have_terms_of_its_own(self) -> None:
        CatalogSpec().when(replace(self.PLAN, terms=OWN)).then(*self.on_sale(OWN))
        CatalogSpec(*self.on_sale(OWN)).when(replace(self.PLAN, terms=OWN)).then()

    def test_they_change_and_go_with_a_definition_without_them(self) -> None:
        other = replace(OWN, grace=6 * DAY)
        spec = CatalogSpec(*self.on_sale(OWN))
        spec.when(replace(self.PLAN, terms=other)).then(self.on_sale(other)[0])
        spec.when(self.PLAN).then(self.on_sale(None)[0])

    def test_to_say_nothing_is_to_have_none(self) -> None:
        CatalogSpec().when(replace(self.PLAN, terms=Terms())).then(*self.on_sale(None))

    def test_a_film_has_a_window_for_refunds(self) -> None:
        terms = Terms(refund_window=timedelta(0))
        assert CatalogSpec().when(replace(self.FILM, terms=terms)).events[0].terms == terms

    @pytest.mark.parametrize(
        ("terms", "said"),
        [
            (Terms(grace=-DAY), "grace must be 0 to 36525 days, not -1 days"),
            (Terms(refund_window=timedelta(seconds=-1)), "refund_window must be 0 to"),
            (Terms(refund_window=40_000 * DAY), "refund_window must be 0 to 36525 days, not 40000 days"),
            (Terms(renewal_offsets=()), "renewal_offsets must have 1 to 50 times, not 0"),
            (Terms(renewal_offsets=(-DAY, -DAY)), "renewal_offsets must be in order"),
            (Terms(renewal_offsets=(-29 * DAY,)), "renewal_offsets begin 29 days before the end: longer than"),
            (Terms(renewal_offsets=(-DAY, 3 * DAY)), "when the grace of 2 days is over"),
            (Terms(grace=timedelta(0)), "renewal_offsets go on until 1 days after the end of the period"),
        ],
    )
    def test_what_makes_no_sense_is_refused_as_in_the_settings(self, terms: Terms, said: str) -> None:
        CatalogSpec().when(replace(self.PLAN, terms=terms)).then_rejected(ProductTermsInvalid, said=(said,))

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        terms = Terms(grace=-DAY, refund_window=-DAY, renewal_offsets=())
        every = ("grace", "refund_window", "renewal_offsets")
        CatalogSpec().when(replace(self.PLAN, terms=terms)).then_rejected(ProductTermsInvalid, said=every)

    @pytest.mark.parametrize(
        "terms", [Terms(grace=DAY), Terms(refund_unused=True), Terms(renewal_offsets=(timedelta(0),))]
    )
    def test_a_film_has_nothing_to_renew(self, terms: Terms) -> None:
        CatalogSpec().when(replace(self.FILM, terms=terms)).then_rejected(
            ProductTermsInvalid, reason=f"{next(iter(terms.named))} is for subscriptions; a film has no period"
        )

    @pytest.mark.parametrize("terms", [None, Terms(grace=3 * DAY), Terms(renewal_offsets=(-3 * DAY,))])
    def test_a_lead_that_is_longer_than_a_period_is_refused(self, terms: Terms | None) -> None:
        """Also where it is the lead of the settings: such a plan needs a lead of its own."""
        daily = price("cinema:day", usd(99), Period(count=1, unit=PeriodUnit.DAY))
        define = replace(self.PLAN, prices=(*self.PLAN.prices, daily), terms=terms)
        said = "renewal_offsets begin 3 days before the end: longer than the shortest period, 1 days"
        CatalogSpec().when(define).then_rejected(ProductTermsInvalid, reason=said)
        hours = replace(define, terms=Terms(renewal_offsets=(-6 * HOUR, HOUR)))
        assert CatalogSpec().when(hours).events

    def test_a_lead_as_long_as_the_period_is_tried_when_it_begins(self) -> None:
        daily = price("cinema:day", usd(99), Period(count=3, unit=PeriodUnit.DAY))
        assert CatalogSpec().when(replace(self.PLAN, prices=(daily,))).events


class TestAgreed:
    def test_an_order_records_all_that_holds_for_it(self) -> None:
        (line,) = by_own_terms().account.orders[ORDER.order].lines
        assert line.terms == OWN
        partly = subscribed(under={"prices": prices(cinema=Terms(grace=3 * DAY))})
        assert subscription(partly).terms == replace(AGREED, grace=3 * DAY)
        assert set(AGREED.named) == set(TERMS), "whole, so that the settings may change"

    def test_the_period_is_by_them(self) -> None:
        held = subscription(by_own_terms())
        assert (held.terms, held.access_end, held.renew_at) == (OWN, END + 5 * DAY, END - 2 * DAY)

    @pytest.mark.parametrize("changed", [{"policies": OTHER_SETTINGS}, {"prices": prices(cinema=Terms(grace=DAY))}])
    def test_neither_settings_nor_the_product_change_what_was_agreed(self, changed: dict[str, Any]) -> None:
        """Whatever is decided about the period that runs is decided as on the day of its order."""
        spec = subscribed()
        for commands in (
            (OFF, ON),
            (PauseSubscription(subscription_id=PLAN), ON),
            (ExtendSubscription(subscription_id=PLAN, days=3, reason="kindness"),),
            (later("kids:month"), later("cinema:month")),
        ):
            before, after = spec, spec
            for number, command in enumerate(commands):
                at = MIDDLE + number * DAY
                before = before.when(command, at=at).happens()
                after = after.when(command, at=at, **changed).happens()
            assert subscription(after) == subscription(before)

    @pytest.mark.parametrize("changed", [{"policies": OTHER_SETTINGS}, {"prices": prices(cinema=OWN)}])
    def test_dunning_goes_on_as_it_was_agreed(self, changed: dict[str, Any]) -> None:
        spec = until(subscribed(), END - 3 * DAY)
        declined = charge_answered(
            spec, AnswerStatus.DECLINED, at=END - 3 * DAY, decline_reason="insufficient_funds", under=changed
        )
        (failed,) = (event for event in declined.events if isinstance(event, RenewalFailed))
        assert failed.retry_at == END - DAY

    def test_the_next_period_is_on_the_terms_of_its_own_order(self) -> None:
        first = subscription(subscribed()).renew_at
        assert first is not None
        charging = until(subscribed(), first, prices=prices(cinema=OWN))
        assert subscription(charging).terms == AGREED, "until it is paid"
        paid = charge_answered(charging, AnswerStatus.SUCCEEDED, at=first, under={"policies": OTHER_SETTINGS})
        held = subscription(paid)
        assert (held.terms, held.access_end, held.renew_at) == (OWN, NEXT_END + 5 * DAY, NEXT_END - 2 * DAY)

    def test_what_is_bought_ahead_brings_its_terms(self) -> None:
        under_own = {"prices": prices(cinema=OWN)}
        ahead = bought_too(subscribed(), "cinema:month", at=MIDDLE, ids=SECOND, under=under_own)
        assert subscription(ahead).terms == OWN

    def test_of_a_product_that_is_not_to_be_seen_they_stay(self) -> None:
        charging = until(by_own_terms(), END - 2 * DAY, prices={})
        renewed = charge_answered(charging, AnswerStatus.SUCCEEDED, at=END - 2 * DAY)
        assert subscription(renewed).terms == OWN

    def test_another_plan_brings_its_own(self) -> None:
        kids = Terms(grace=timedelta(0), renewal_offsets=(-HOUR,))
        spec = subscribed().when(later("kids:month"), at=MIDDLE).happens()
        charging = until(spec, END, prices=prices(kids=kids))
        held = subscription(charge_answered(charging, AnswerStatus.SUCCEEDED, at=END))
        assert (held.access_end, held.renew_at) == (NEXT_END, NEXT_END - HOUR)

    def test_a_trial_too(self) -> None:
        tried = given().when(
            StartTrial(price_id=PriceId("arthouse:month")), command_id="try", prices=prices(arthouse=OWN)
        )
        held = subscription(tried.happens())
        assert (held.status, held.access_end) == (SubscriptionStatus.TRIALING, T0 + 14 * DAY + 5 * DAY)

    def test_orders_from_before_there_were_terms_go_by_the_settings(self) -> None:
        spec = given(*(from_before(event) for event in subscribed().events))
        assert subscription(spec).terms is None
        switched = spec.when(OFF, at=MIDDLE).happens().when(ON, at=MIDDLE, policies=Policies(grace=3 * DAY))
        assert subscription(switched.happens()).access_end == END + 3 * DAY

    def test_the_preview_shows_what_the_products_say_now(self) -> None:
        shown = preview(
            subscription(subscribed()), Candidates(), count=3, now=T0, prices=prices(cinema=OWN), policies=POLICIES
        )
        ends = (END, NEXT_END, datetime(2030, 4, 30, 12, 30, tzinfo=UTC))
        assert [each.charge_at for each in shown] == [ends[0] - 3 * DAY, ends[1] - 2 * DAY, ends[2] - 2 * DAY]


class TestRefunds:
    def test_the_window_is_the_one_of_the_order(self) -> None:
        film = prices(solaris=Terms(refund_window=DAY))
        late = bought("solaris:own", under={"prices": film})
        assert late.when(ASK, at=T0 + DAY, policies=OTHER_SETTINGS).events
        late.when(ASK, at=T0 + DAY + timedelta(seconds=1)).then_rejected(NothingToRefund)
        bought("solaris:own").when(ASK, at=T0 + 2 * HOUR, prices=film).then_rejected(NothingToRefund)

    def test_the_unused_part_is_by_its_product(self) -> None:
        by_own_terms().when(ASK, at=MIDDLE).then_rejected(NothingToRefund)
        assert subscribed().when(ASK, at=MIDDLE, policies=OTHER_SETTINGS).events

    def test_an_order_of_several_products_has_the_strictest_terms(self) -> None:
        both = bought("solaris:own", "cinema:month", under={"prices": prices(solaris=Terms(refund_window=2 * DAY))})
        whole, part = (both.when(ASK, at=T0 + later_by).events[0] for later_by in (HOUR, DAY))
        assert (whole.amount, whole.rule, part.rule) == (usd(1998), WINDOW, UNUSED)
        two = {"prices": prices(kids=Terms(refund_unused=False))}
        bought("kids:month", "cinema:month", under=two).when(ASK, at=MIDDLE).then_rejected(NothingToRefund)


def test_terms_take_the_place_of_settings_where_they_say_something() -> None:
    assert under(None, POLICIES) is POLICIES
    assert under(Terms(), POLICIES) == POLICIES
    assert under(Terms(refund_unused=False), POLICIES) == replace(POLICIES, refund_unused=False)
    assert agreed(None, under(OWN, POLICIES), is_plan=True) == OWN
    assert agreed(OWN, POLICIES, is_plan=False) == Terms(refund_window=DAY)
