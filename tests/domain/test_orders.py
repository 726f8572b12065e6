"""Orders: what is agreed, and when it is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.calendar import Period, PeriodUnit
from domain.catalog.state import ProductKind
from domain.effects import CloseCheckout, CreateCheckout
from domain.entitlements.events import EntitlementGranted
from domain.errors import (
    AlreadyEntitled,
    AmountOutOfRange,
    CurrencyMismatch,
    ItemRepeated,
    MonthsInvalid,
    OrderEmpty,
    OrderIsCancelled,
    OrderNotCancellable,
    OrderOpen,
    OrderUnknown,
    PriceChanged,
    PriceUnknown,
    PromoCodeUnknown,
    TooManyItems,
    TooManyOpenOrders,
)
from domain.ids import OrderId, PriceId, ProductId, Resource
from domain.money import Money
from domain.orders.commands import CancelOrder, PlaceOrder
from domain.orders.events import OrderAlreadyPlaced, OrderPlaced
from domain.orders.state import OrderLine
from domain.payments.events import PaymentCloseRequested, PaymentCreated
from domain.payments.state import CloseReason
from domain.policies.settings import Policies, RepeatedOrder
from tests.domain.histories import (
    CLOSED,
    FIRST,
    PAGE,
    answered,
    bought,
    cancelled_early,
    cancelling,
    opened,
    place,
    placed,
)
from tests.domain.histories_of_renewals import charging
from tests.domain.spec import (
    AGREED,
    AGREED_FOR_FILMS,
    DAY,
    HOUR,
    MONTH,
    OFFERS,
    ORDER,
    POLICIES,
    SECOND,
    T0,
    given,
    usd,
)

FILM_LINE = OrderLine(
    product_id=ProductId("solaris"),
    price_id=PriceId("solaris:own"),
    kind=ProductKind.FILM,
    title="Solaris",
    resource=Resource("film:solaris"),
    unit_price=usd(999),
    quantity=1,
    total=usd(999),
    terms=AGREED_FOR_FILMS,
)


def test_a_film_is_ordered_at_its_price_and_the_provider_is_asked_for_a_page() -> None:
    command = place("solaris:own", return_url="https://shop.example/back", expected_total=usd(999))
    given().when(command, command_id=ORDER.command).then(
        OrderPlaced(
            order_id=ORDER.order,
            payment_id=ORDER.payment,
            lines=(FILM_LINE,),
            subtotal=usd(999),
            discount=usd(0),
            total=usd(999),
            auto_renew=True,
            placed_at=T0,
            provider="stripe",
            return_url="https://shop.example/back",
        ),
        PaymentCreated(
            payment_id=ORDER.payment,
            order_id=ORDER.order,
            amount=usd(999),
            provider="stripe",
            effect_id=ORDER.checkout,
            return_url="https://shop.example/back",
            save_method=False,
            created_at=T0,
            expires_at=T0 + POLICIES.payment_expiry,
            repeat_at=T0 + POLICIES.call_repeat_delays[0],
        ),
    )


def test_the_call_for_the_page_says_what_is_paid() -> None:
    given().when(place("solaris:own", "kids:month"), command_id=ORDER.command).then_calls(
        CreateCheckout(
            effect_id=ORDER.checkout,
            payment_id=ORDER.payment,
            order_id=ORDER.order,
            provider="stripe",
            attempt=1,
            amount=usd(1499),
            description="Solaris, Kids",
            save_method=True,
            return_url=None,
            created_at=T0,
            expires_at=T0 + POLICIES.payment_expiry,
        )
    )


def test_a_plan_by_the_month_is_ordered_for_several_months() -> None:
    spec = placed("cinema:month", months=3)
    order = spec.account.orders[ORDER.order]
    assert order.total == usd(2997)
    assert order.lines == (
        OrderLine(
            product_id=ProductId("cinema"),
            price_id=PriceId("cinema:month"),
            kind=ProductKind.SUBSCRIPTION,
            title="Cinema",
            resource=Resource("role:cinema"),
            unit_price=usd(999),
            quantity=3,
            total=usd(2997),
            period=MONTH,
            subscription_id=ORDER.subscription("cinema"),
            terms=AGREED,
        ),
    )


def test_months_are_counted_in_units_of_the_price() -> None:
    spec = placed("cinema:quarter", months=6)
    (line,) = spec.account.orders[ORDER.order].lines
    assert (line.quantity, line.total) == (2, usd(5000))
    assert line.period == Period(count=3, unit=PeriodUnit.MONTH)


def test_a_method_is_saved_only_for_what_renews() -> None:
    assert placed("cinema:month").account.payments[ORDER.payment].save_method
    assert not placed("cinema:month", auto_renew=False).account.payments[ORDER.payment].save_method
    assert not placed("solaris:own").account.payments[ORDER.payment].save_method


def test_without_items() -> None:
    given().when(place()).then_rejected(OrderEmpty)


def test_more_items_than_allowed() -> None:
    few = Policies(items_max=1)
    given().when(place("solaris:own", "kids:month"), policies=few).then_rejected(TooManyItems, items="2", items_max="1")


def test_a_product_twice() -> None:
    given().when(place("solaris:own", "solaris:own")).then_rejected(ItemRepeated, product_id="solaris")


def test_two_plans_that_give_the_same_role() -> None:
    given().when(place("cinema:month", "cinema-plus:month")).then_rejected(
        ItemRepeated, product_id="cinema-plus", resource="role:cinema"
    )


def test_a_price_that_nobody_knows() -> None:
    given().when(place("solaris:free")).then_rejected(PriceUnknown, price_id="solaris:free")


def test_a_price_that_is_archived() -> None:
    given().when(place("old:cheap")).then_rejected(PriceUnknown, price_id="old:cheap")


def test_a_product_that_is_archived() -> None:
    given().when(place("gone:own")).then_rejected(PriceUnknown, price_id="gone:own")


def test_two_currencies() -> None:
    given().when(place("kids:month", "solaris:eur")).then_rejected(CurrencyMismatch, left="USD", right="EUR")


def test_months_of_a_film() -> None:
    given().when(place("solaris:own", months=1)).then_rejected(MonthsInvalid, months="1")


def test_months_of_a_plan_by_the_day() -> None:
    given().when(place("cinema:days", months=1)).then_rejected(MonthsInvalid, months="1")


def test_months_outside_their_range() -> None:
    for months in (0, -1, 37):
        given().when(place("cinema:month", months=months)).then_rejected(MonthsInvalid, months=str(months))


def test_months_that_the_price_does_not_divide() -> None:
    given().when(place("cinema:quarter", months=4)).then_rejected(MonthsInvalid, months="4")


def test_a_total_that_is_too_large() -> None:
    given().when(place("dear:own", "kids:month")).then_rejected(AmountOutOfRange)


def test_a_promo_code() -> None:
    given().when(place("solaris:own", promo_code="FREE")).then_rejected(PromoCodeUnknown, promo_code="FREE")


def test_a_total_that_is_not_what_was_expected() -> None:
    command = place("solaris:own", expected_total=usd(899))
    given().when(command).then_rejected(PriceChanged, expected_amount="899", total_amount="999")
    other_currency = place("solaris:own", expected_total=Money(amount=999, currency="EUR"))
    given().when(other_currency).then_rejected(PriceChanged, currency="USD", expected_currency="EUR")


def test_a_new_price_holds_for_the_next_order_and_the_placed_one_keeps_its_own() -> None:
    offer = OFFERS[PriceId("solaris:own")]
    dearer = {**OFFERS, offer.price.id: replace(offer, price=replace(offer.price, amount=usd(1099)))}
    spec = placed("solaris:own")
    assert spec.account.payments[ORDER.payment].amount == usd(999)
    later = given().when(place("solaris:own"), prices=dearer, command_id=ORDER.command).happens()
    assert later.account.payments[ORDER.payment].amount == usd(1099)


def test_a_film_that_may_be_watched_already() -> None:
    bought("solaris:own").when(place("solaris:own")).then_rejected(AlreadyEntitled, resource="film:solaris")


def test_a_rented_film_may_be_bought_again_when_its_time_is_over() -> None:
    spec = bought("stalker:rent", at=T0)
    spec.when(place("stalker:rent"), at=T0 + 2 * DAY - HOUR).then_rejected(AlreadyEntitled)
    again = spec.when(place("stalker:rent"), at=T0 + 2 * DAY, command_id=SECOND.command).happens()
    assert SECOND.order in again.account.orders


def test_a_plan_may_be_bought_again_before_its_end() -> None:
    again = bought("cinema:month").when(place("cinema:month"), at=T0 + DAY, command_id=SECOND.command).happens()
    assert SECOND.order in again.account.orders


def test_a_role_that_is_held_for_ever_is_not_sold() -> None:
    held = EntitlementGranted(
        resource=Resource("role:cinema"), until=None, reason="gift", order_id=OrderId("o"), subscription_id=None
    )
    given(held).when(place("cinema:month")).then_rejected(AlreadyEntitled, resource="role:cinema")


class TestASecondOrderWhileTheFirstIsOpen:
    def test_of_exactly_the_same_is_the_first(self) -> None:
        for spec in (placed(), opened()):
            again = spec.when(place("solaris:own"), command_id=SECOND.command)
            again.then(OrderAlreadyPlaced(order_id=ORDER.order)).when(place("solaris:own")).then(
                OrderAlreadyPlaced(order_id=ORDER.order)
            )

    def test_by_setting_it_is_rejected(self) -> None:
        strict = Policies(repeated_order=RepeatedOrder.REJECT)
        opened().when(place("solaris:own"), policies=strict).then_rejected(OrderOpen, order_id=ORDER.order)

    @pytest.mark.parametrize(
        "other",
        [
            place("cinema:month", months=3),
            place("cinema:quarter"),
            place("cinema:month", "solaris:own"),
            place("cinema:month", auto_renew=False),
            place("cinema:month", provider="another"),
        ],
    )
    def test_of_something_else_for_the_same_product(self, other: PlaceOrder) -> None:
        """Nobody gets an order for another time or another price than was asked for."""
        opened("cinema:month").when(other).then_rejected(OrderOpen, order_id=ORDER.order)

    def test_at_another_price(self) -> None:
        offer = OFFERS[PriceId("solaris:own")]
        dearer = {**OFFERS, offer.price.id: replace(offer, price=replace(offer.price, amount=usd(1099)))}
        opened().when(place("solaris:own"), prices=dearer).then_rejected(OrderOpen)


def test_an_order_that_is_being_given_up_is_no_longer_the_answer() -> None:
    for spec in (cancelling(), cancelled_early()):
        again = spec.when(place("solaris:own"), command_id=SECOND.command).happens()
        assert SECOND.order in again.account.orders


class TestMoreOpenOrdersThanAllowed:
    one = Policies(open_orders_max=1)

    def test_one_more_is_refused(self) -> None:
        for spec in (placed(), opened(), cancelling(), cancelled_early()):
            another = spec.when(place("kids:month"), policies=self.one, command_id=SECOND.command)
            another.then_rejected(TooManyOpenOrders, orders="1", open_orders_max="1")

    def test_a_second_click_is_no_further_order(self) -> None:
        again = opened().when(place("solaris:own"), policies=self.one, command_id=SECOND.command)
        again.then(OrderAlreadyPlaced(order_id=ORDER.order))

    def test_what_is_paid_or_given_up_makes_room(self) -> None:
        for spec in (bought(), cancelling().when(answered(ORDER.close, CLOSED)).happens()):
            another = spec.when(place("kids:month"), policies=self.one, command_id=SECOND.command).happens()
            assert SECOND.order in another.account.orders

    def test_a_renewal_that_is_being_collected_takes_no_place(self) -> None:
        another = (
            charging().when(place("solaris:own"), at=FIRST, policies=self.one, command_id=SECOND.command).happens()
        )
        assert SECOND.order in another.account.orders


def test_another_thing_is_another_order() -> None:
    again = placed("solaris:own").when(place("kids:month"), command_id=SECOND.command).happens()
    assert set(again.account.orders) == {ORDER.order, SECOND.order}


def test_cancelling_an_order_closes_its_page_first() -> None:
    cancel = opened().when(CancelOrder(order_id=ORDER.order), at=T0 + HOUR)
    cancel.then(
        PaymentCloseRequested(
            payment_id=ORDER.payment,
            reference=PAGE,
            reason=CloseReason.CANCELLED,
            detail="cancelled by the customer",
            effect_id=ORDER.close,
            requested_at=T0 + HOUR,
            repeat_at=T0 + HOUR + POLICIES.call_repeat_delays[0],
        )
    )
    cancel.then_calls(
        CloseCheckout(effect_id=ORDER.close, payment_id=ORDER.payment, provider="stripe", attempt=1, reference=PAGE)
    )


def test_cancelling_while_the_page_is_being_opened_waits_for_its_name() -> None:
    cancel = placed().when(CancelOrder(order_id=ORDER.order), at=T0 + HOUR)
    cancel.then(
        PaymentCloseRequested(
            payment_id=ORDER.payment,
            reference=None,
            reason=CloseReason.CANCELLED,
            detail="cancelled by the customer",
            effect_id=ORDER.close,
            requested_at=T0 + HOUR,
            repeat_at=T0 + HOUR + POLICIES.call_repeat_delays[0],
        )
    )
    cancel.then_calls()


def test_cancelling_again_while_the_page_is_being_closed_is_harmless() -> None:
    cancelling().when(CancelOrder(order_id=ORDER.order)).then_nothing()
    cancelled_early().when(CancelOrder(order_id=ORDER.order)).then_nothing()


def test_cancelling_what_is_cancelled() -> None:
    cancelled = cancelling().when(answered(ORDER.close, CLOSED)).happens()
    cancelled.when(CancelOrder(order_id=ORDER.order)).then_rejected(OrderIsCancelled, order_id=ORDER.order)


def test_cancelling_an_order_that_nobody_knows() -> None:
    given().when(CancelOrder(order_id=OrderId("x"))).then_rejected(OrderUnknown, order_id="x")


def test_cancelling_what_was_paid() -> None:
    bought().when(CancelOrder(order_id=ORDER.order)).then_rejected(OrderNotCancellable, status="fulfilled")
