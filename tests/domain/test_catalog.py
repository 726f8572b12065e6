"""The catalogue: products and their immutable prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.calendar import Period, PeriodUnit
from domain.catalog.commands import ArchiveProduct, DefineProduct
from domain.catalog.decider import DAYS_MAX, MONTHS_MAX, PRICES_MAX
from domain.catalog.events import CatalogEvent, PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.catalog.state import NoProduct, Price, Product, ProductKind
from domain.errors import (
    AmountOutOfRange,
    CurrencyUnknown,
    PriceImmutable,
    PriceInvalid,
    ProductInvalid,
    ProductUnknown,
)
from domain.ids import PriceId, ProductId
from domain.money import Money
from tests.domain.spec import MONTH, CatalogSpec, price, usd

SOLARIS = ProductId("solaris")
OWN = price("solaris:own", usd(999))
EUR = price("solaris:eur", Money(amount=899, currency="EUR"))
FILM = DefineProduct(product_id=SOLARIS, kind=ProductKind.FILM, title="Solaris", prices=(OWN,))
BY_MONTH = price("cinema:month", usd(999), MONTH)
PLAN = DefineProduct(
    product_id=ProductId("cinema"), kind=ProductKind.SUBSCRIPTION, title="Cinema", role="cinema", prices=(BY_MONTH,)
)


def defined(define: DefineProduct) -> ProductDefined:
    return ProductDefined(
        product_id=define.product_id,
        kind=define.kind,
        title=define.title,
        description=define.description,
        role=define.role,
        validity_days=define.validity_days,
    )


def added(offered: Price, product_id: ProductId = SOLARIS) -> PriceAdded:
    return PriceAdded(product_id=product_id, price=offered)


def on_sale(define: DefineProduct = FILM) -> tuple[CatalogEvent, ...]:
    return (defined(define), *(added(offered, define.product_id) for offered in define.prices))


def test_a_product_is_put_on_sale() -> None:
    CatalogSpec().when(FILM).then(defined(FILM), added(OWN))
    CatalogSpec().when(PLAN).then(*on_sale(PLAN))
    state = CatalogSpec(*on_sale(PLAN)).state
    assert isinstance(state, Product)
    assert state.resource == "role:cinema"
    assert state.prices == {BY_MONTH.id: BY_MONTH}


def test_the_same_again_changes_nothing() -> None:
    CatalogSpec(*on_sale()).when(FILM).then()


def test_it_is_described_anew() -> None:
    renamed = replace(FILM, title="Solaris (1972)", validity_days=7)
    CatalogSpec(*on_sale()).when(renamed).then(defined(renamed))


def test_a_new_price_takes_the_place_of_the_old_one() -> None:
    dearer = price("solaris:own-2", usd(1099))
    CatalogSpec(*on_sale()).when(replace(FILM, prices=(dearer,))).then(
        added(dearer), PriceArchived(product_id=SOLARIS, price_id=OWN.id)
    )


def test_a_price_that_is_archived_may_come_back_as_it_was() -> None:
    archived = (*on_sale(replace(FILM, prices=(OWN, EUR))), PriceArchived(product_id=SOLARIS, price_id=EUR.id))
    both = replace(FILM, prices=(OWN, EUR))
    CatalogSpec(*archived).when(both).then(added(EUR))
    CatalogSpec(*archived, added(EUR)).when(both).then()
    dearer = replace(EUR, amount=Money(amount=900, currency="EUR"))
    CatalogSpec(*archived).when(replace(FILM, prices=(OWN, dearer))).then_rejected(PriceImmutable, price_id=EUR.id)


def test_an_archived_price_is_not_archived_again() -> None:
    archived = (*on_sale(replace(FILM, prices=(OWN, EUR))), PriceArchived(product_id=SOLARIS, price_id=EUR.id))
    CatalogSpec(*archived).when(FILM).then()


def test_a_published_price_never_changes() -> None:
    cheaper = replace(FILM, prices=(price("solaris:own", usd(1)),))
    CatalogSpec(*on_sale()).when(cheaper).then_rejected(PriceImmutable, price_id="solaris:own")
    other_currency = replace(FILM, prices=(price("solaris:own", Money(amount=999, currency="EUR")),))
    CatalogSpec(*on_sale()).when(other_currency).then_rejected(PriceImmutable)


def test_what_a_product_gives_never_changes() -> None:
    other_role = replace(PLAN, role="cinema-plus")
    CatalogSpec(*on_sale(PLAN)).when(other_role).then_rejected(ProductInvalid, product_id="cinema")
    other_kind = replace(PLAN, kind=ProductKind.FILM, role=None, prices=(price("cinema:own", usd(1)),))
    CatalogSpec(*on_sale(PLAN)).when(other_kind).then_rejected(ProductInvalid)


def test_a_product_is_taken_off_the_list_and_put_back() -> None:
    archive = ArchiveProduct(product_id=SOLARIS)
    CatalogSpec(*on_sale()).when(archive).then(ProductArchived(product_id=SOLARIS))
    archived = CatalogSpec(*on_sale(), ProductArchived(product_id=SOLARIS))
    archived.when(archive).then()
    archived.when(FILM).then(defined(FILM))


def test_a_product_that_nobody_knows() -> None:
    CatalogSpec().when(ArchiveProduct(product_id=SOLARIS)).then_rejected(ProductUnknown, product_id="solaris")


@pytest.mark.parametrize(
    "changed",
    [
        {"product_id": ProductId("")},
        {"product_id": ProductId("Solaris")},
        {"product_id": ProductId("-solaris")},
        {"product_id": ProductId("s" * 64)},
        {"product_id": ProductId("sol/aris")},
        {"title": ""},
        {"title": "s" * 201},
        {"description": "s" * 5001},
        {"prices": ()},
        {"prices": tuple(price(f"solaris:p{number}", usd(1)) for number in range(PRICES_MAX + 1))},
        {"prices": (OWN, OWN)},
        {"role": "cinema"},
        {"validity_days": 0},
        {"validity_days": -1},
        {"validity_days": DAYS_MAX + 1},
    ],
)
def test_a_film_that_is_not_valid(changed: dict[str, Any]) -> None:
    CatalogSpec().when(replace(FILM, **changed)).then_rejected(ProductInvalid)


@pytest.mark.parametrize(
    "changed", [{"role": None}, {"role": ""}, {"role": "Cinema"}, {"role": "r" * 64}, {"validity_days": 30}]
)
def test_a_plan_that_is_not_valid(changed: dict[str, Any]) -> None:
    CatalogSpec().when(replace(PLAN, **changed)).then_rejected(ProductInvalid)


@pytest.mark.parametrize(
    ("define", "offered"),
    [
        (FILM, price("stalker:own", usd(1))),
        (FILM, price("solaris", usd(1))),
        (FILM, price("solaris:", usd(1))),
        (FILM, price("solaris:Own", usd(1))),
        (FILM, price("solaris:a:b", usd(1))),
        (FILM, price("solaris:own", usd(1), active=False)),
        (FILM, price("solaris:own", usd(1), MONTH)),
        (PLAN, price("cinema:month", usd(1))),
        (PLAN, price("cinema:month", usd(1), Period(count=0, unit=PeriodUnit.MONTH))),
        (PLAN, price("cinema:month", usd(1), Period(count=MONTHS_MAX + 1, unit=PeriodUnit.MONTH))),
        (PLAN, price("cinema:days", usd(1), Period(count=DAYS_MAX + 1, unit=PeriodUnit.DAY))),
        (FILM, price("solaris:own", usd(1), trial_days=7)),
        (PLAN, price("cinema:month", usd(1), MONTH, trial_days=0)),
        (PLAN, price("cinema:month", usd(1), MONTH, trial_days=-1)),
        (PLAN, price("cinema:month", usd(1), MONTH, trial_days=10_000)),
    ],
)
def test_a_price_that_is_not_valid(define: DefineProduct, offered: Price) -> None:
    CatalogSpec().when(replace(define, prices=(offered,))).then_rejected(PriceInvalid, price_id=offered.id)


@pytest.mark.parametrize("amount", [0, -1, 10**12 + 1])
def test_an_amount_that_is_not_valid(amount: int) -> None:
    offered = price("solaris:own", usd(amount))
    CatalogSpec().when(replace(FILM, prices=(offered,))).then_rejected(AmountOutOfRange, amount=str(amount))


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "BTC", "US"])
def test_a_currency_that_nobody_knows(currency: str) -> None:
    offered = price("solaris:own", Money(amount=1, currency=currency))
    CatalogSpec().when(replace(FILM, prices=(offered,))).then_rejected(CurrencyUnknown, currency=currency)


def test_events_of_a_product_that_is_not_there_change_nothing() -> None:
    """A fold never fails on a known event, whatever comes before it."""
    for event in (
        ProductArchived(product_id=SOLARIS),
        added(OWN),
        PriceArchived(product_id=SOLARIS, price_id=PriceId("solaris:own")),
    ):
        assert CatalogSpec(event).state == NoProduct()
