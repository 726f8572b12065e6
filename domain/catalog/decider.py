"""Decisions about one product and its prices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, assert_never

from domain.calendar import PeriodUnit
from domain.catalog.commands import ArchiveProduct, CatalogCommand, DefineProduct
from domain.catalog.events import CatalogEvent, PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.catalog.state import NoProduct, Price, Product, ProductKind, ProductState
from domain.errors import PriceImmutable, PriceInvalid, ProductInvalid, ProductTermsInvalid, ProductUnknown
from domain.ids import product_of
from domain.money import checked
from domain.policies.terms import problems_of
from domain.records import replace

if TYPE_CHECKING:
    from domain.decider import Command
    from domain.policies.settings import Policies

INITIAL = NoProduct()
PRICES_MAX = 50
DAYS_MAX = 3660
MONTHS_MAX = 120
TRIAL_DAYS_MAX = 366
_PRODUCT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PRICE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ROLE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def decide(state: ProductState, command: Command[CatalogCommand]) -> tuple[CatalogEvent, ...]:
    """Return what happens to the product; `()` when it already is as asked. Raises DomainError."""
    match command.data:
        case DefineProduct() as define:
            return _define(state, define, command.policies)
        case ArchiveProduct() as archive:
            return _archive(state, archive)
        case _:
            assert_never(command.data)


def evolve(state: ProductState, event: CatalogEvent) -> ProductState:
    """Return the product after the event."""
    match event:
        case ProductDefined():
            return Product(
                id=event.product_id,
                kind=event.kind,
                title=event.title,
                description=event.description,
                role=event.role,
                validity_days=event.validity_days,
                terms=event.terms,
                prices=state.prices if isinstance(state, Product) else {},
            )
        case ProductArchived():
            return replace(state, active=False) if isinstance(state, Product) else state
        case PriceAdded():
            return _with_price(state, event.price)
        case PriceArchived():
            if not isinstance(state, Product):
                return state
            return _with_price(state, replace(state.prices[event.price_id], active=False))
        case _:
            assert_never(event)


def _with_price(state: ProductState, price: Price) -> ProductState:
    if not isinstance(state, Product):
        return state
    return replace(state, prices={**state.prices, price.id: price})


def _define(state: ProductState, define: DefineProduct, policies: Policies) -> tuple[CatalogEvent, ...]:
    _require_valid(define)
    _require_sound(define, policies)
    defined = ProductDefined(
        product_id=define.product_id,
        kind=define.kind,
        title=define.title,
        description=define.description,
        role=define.role,
        validity_days=define.validity_days,
        terms=define.terms if define.terms is not None and define.terms.named else None,
    )
    if isinstance(state, NoProduct):
        return (defined, *(PriceAdded(product_id=define.product_id, price=price) for price in define.prices))
    if state.kind is not define.kind or state.role != define.role:
        raise ProductInvalid(product_id=define.product_id, reason="its kind and role were published and cannot change")
    events: list[CatalogEvent] = []
    if evolve(state, defined) != state:
        events.append(defined)
    asked = {price.id: price for price in define.prices}
    for price_id, price in asked.items():
        known = state.prices.get(price_id)
        if known is not None and replace(known, active=True) != price:
            raise PriceImmutable(price_id=price_id)
        if known is None or not known.active:
            events.append(PriceAdded(product_id=define.product_id, price=price))
    events += [
        PriceArchived(product_id=define.product_id, price_id=price.id)
        for price in state.prices.values()
        if price.active and price.id not in asked
    ]
    return tuple(events)


def _archive(state: ProductState, archive: ArchiveProduct) -> tuple[CatalogEvent, ...]:
    if isinstance(state, NoProduct):
        raise ProductUnknown(product_id=archive.product_id)
    return (ProductArchived(product_id=archive.product_id),) if state.active else ()


def _require_valid(define: DefineProduct) -> None:
    reason = None
    if not _PRODUCT_ID.fullmatch(define.product_id):
        reason = "its id must be 1 to 63 lower-case letters, digits and dashes"
    elif not 0 < len(define.title) <= 200 or len(define.description) > 5000:  # noqa: PLR2004  # said in the reason
        reason = "a title has 1 to 200 characters, a description up to 5000"
    elif not 0 < len(define.prices) <= PRICES_MAX:
        reason = f"it needs 1 to {PRICES_MAX} prices"
    elif len({price.id for price in define.prices}) != len(define.prices):
        reason = "a price id is given twice"
    elif define.kind is ProductKind.SUBSCRIPTION and not (define.role and _ROLE.fullmatch(define.role)):
        reason = "a subscription needs a role of 1 to 63 lower-case letters, digits, dashes and underscores"
    elif define.kind is ProductKind.SUBSCRIPTION and define.validity_days is not None:
        reason = "a subscription has no validity_days, its prices have a period"
    elif define.kind is ProductKind.FILM and define.role is not None:
        reason = "a film has no role"
    elif define.validity_days is not None and not 0 < define.validity_days <= DAYS_MAX:
        reason = f"validity_days must be 1 to {DAYS_MAX}"
    if reason:
        raise ProductInvalid(product_id=define.product_id, reason=reason)
    for price in define.prices:
        _require_valid_price(define, price)


def _require_sound(define: DefineProduct, policies: Policies) -> None:
    problems = problems_of(
        define.terms,
        policies,
        is_plan=define.kind is ProductKind.SUBSCRIPTION,
        periods=[price.period for price in define.prices if price.period is not None],
    )
    if problems:
        raise ProductTermsInvalid(product_id=define.product_id, reason="; ".join(problems))


def _require_valid_price(define: DefineProduct, price: Price) -> None:
    checked(price.amount)
    reason = None
    if product_of(price.id) != define.product_id or not _PRICE_NAME.fullmatch(price.id.partition(":")[2]):
        reason = f"its id must be {define.product_id}:<name>, the name of lower-case letters, digits and dashes"
    elif not price.active:
        reason = "leave it out to archive it"
    elif define.kind is ProductKind.FILM and price.period is not None:
        reason = "a film is bought once and has no period"
    elif define.kind is ProductKind.SUBSCRIPTION and price.period is None:
        reason = "a subscription's price needs a period"
    elif price.period is not None:
        count_max = DAYS_MAX if price.period.unit is PeriodUnit.DAY else MONTHS_MAX
        if not 0 < price.period.count <= count_max:
            reason = f"its period must be 1 to {count_max} {price.period.unit}s"
    if reason is None and price.trial_days is not None:
        if define.kind is ProductKind.FILM:
            reason = "a film cannot be tried"
        elif not 0 < price.trial_days <= TRIAL_DAYS_MAX:
            reason = f"it may be tried for 1 to {TRIAL_DAYS_MAX} days"
    if reason:
        raise PriceInvalid(price_id=price.id, reason=reason)
