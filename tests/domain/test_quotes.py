"""Of any basket under any discounts: a quote is the order to the minor unit, and no discount would have been better."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, reject
from hypothesis import strategies as st

from domain.calendar import Period, PeriodUnit
from domain.catalog.state import Offer, Product, ProductKind
from domain.errors import DomainError
from domain.ids import PriceId, ProductId
from domain.money import AMOUNT_MAX, EXPONENTS, Money
from domain.orders.commands import OrderItem, PlaceOrder
from domain.orders.lines import quote_items
from domain.pricing.events import PersonalDiscountGranted
from domain.pricing.quote import Candidates, part_of
from domain.pricing.state import MonthsDiscounts, MonthsStep, PersonalDiscount, PromoCode
from tests.domain.spec import OFFERS, POLICIES, T0
from tests.domain.spec import given as history

amounts = st.integers(1, 10**7)
points = st.integers(1, 10_000)


@st.composite
def catalogues(draw: st.DrawFn) -> dict[PriceId, Offer]:
    """Plans and films in one currency, of any price."""
    currency = draw(st.sampled_from(sorted(EXPONENTS)))
    offers = {}
    for number in range(draw(st.integers(1, 5))):
        period = draw(st.none() | st.builds(Period, count=st.integers(1, 12), unit=st.just(PeriodUnit.MONTH)))
        name = f"p{number}"
        base = OFFERS[PriceId("solaris:own")]
        product: Product = replace(
            base.product,
            id=ProductId(name),
            kind=ProductKind.SUBSCRIPTION if period else ProductKind.FILM,
            role=name if period else None,
        )
        price = replace(
            base.price, id=PriceId(f"{name}:x"), amount=Money(amount=draw(amounts), currency=currency), period=period
        )
        offers[price.id] = Offer(product=product, price=price)
    return offers


@st.composite
def discounts(draw: st.DrawFn, offers: dict[PriceId, Offer]) -> Candidates:
    """Any discounts of all kinds."""
    names = [offer.product.id for offer in offers.values()]
    currency = next(iter(offers.values())).price.amount.currency
    some = st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)
    steps = draw(st.dictionaries(st.integers(1, 24), points, max_size=4))
    held = st.builds(PersonalDiscount, id=st.uuids().map(str), basis_points=points, reason=st.just("?"), products=some)
    percent = st.builds(PromoCode, code=st.just("CODE"), basis_points=points, products=some)
    fixed = st.builds(
        PromoCode,
        code=st.just("CODE"),
        amount=st.builds(Money, amount=st.integers(1, 10**8), currency=st.just(currency)),
        products=some,
    )
    return Candidates(
        personal=draw(st.lists(held, max_size=3).map(tuple)),
        months=MonthsDiscounts(steps=tuple(MonthsStep(months=m, basis_points=p) for m, p in sorted(steps.items()))),
        promo=draw(st.none() | percent | fixed),
    )


@given(data=st.data())
def test_a_quote_is_the_order_to_the_minor_unit(data: st.DataObject) -> None:
    offers = data.draw(catalogues())
    candidates = data.draw(discounts(offers))
    names = data.draw(st.lists(st.sampled_from(sorted(offers)), min_size=1, unique=True))
    items = tuple(OrderItem(price_id=name) for name in names)
    try:
        quoted = quote_items(items, offers, candidates, at=T0, policies=POLICIES)
    except DomainError:
        reject()
    spec = history(*(PersonalDiscountGranted(discount=discount) for discount in candidates.personal))
    order = PlaceOrder(
        items=items,
        provider="stripe",
        promo_code="code" if candidates.promo else None,
        expected_total=quoted.total,
    )
    events = spec.when(order, prices=offers, months_discounts=candidates.months, promo_code=candidates.promo).events
    event = events[0]
    assert (event.subtotal, event.discount, event.total) == (quoted.subtotal, quoted.discount, quoted.total)
    assert event.applied == quoted.applied
    assert quoted.subtotal - quoted.discount == quoted.total
    assert quoted.total.amount >= 0
    assert sum(line.net.amount for line in quoted.lines) == quoted.total.amount
    assert all(0 <= line.discount_amount <= line.total.amount for line in quoted.lines)
    assert (quoted.applied is None) == (quoted.discount.amount == 0)
    paid = [event.amount for event in events if type(event).__name__ == "PaymentCreated"]
    assert paid == ([quoted.total] if quoted.total.amount else [])


@given(data=st.data())
def test_no_other_discount_would_have_been_better(data: st.DataObject) -> None:
    offers = data.draw(catalogues())
    every = data.draw(discounts(offers))
    items = tuple(OrderItem(price_id=name) for name in offers)
    alone = [
        *(Candidates(personal=(discount,)) for discount in every.personal),
        Candidates(months=every.months),
        Candidates(promo=every.promo),
    ]
    try:
        best = quote_items(items, offers, every, at=T0, policies=POLICIES)
        totals = [quote_items(items, offers, one, at=T0, policies=POLICIES).total.amount for one in alone]
    except DomainError:
        reject()
    assert best.total.amount == min(totals)


@given(amount=st.integers(0, AMOUNT_MAX), basis_points=st.integers(0, 10_000))
def test_a_part_is_rounded_half_up(amount: int, basis_points: int) -> None:
    exact = Fraction(amount * basis_points, 10_000)
    part = part_of(amount, basis_points)
    assert -Fraction(1, 2) < part - exact <= Fraction(1, 2)
    assert 0 <= part <= amount
