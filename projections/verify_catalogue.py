"""The catalogue's read models against the fold of the log, as `projections.verify` does it for accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import select

from domain.catalog.state import NoProduct, Price, Product
from domain.ids import MONTHS_DISCOUNTS_KEY, product_key, promo_key
from domain.pricing.quote import MONTHS_REFERENCE
from domain.pricing.state import MonthsDiscounts, PromoCode
from domain.promo.state import NoPromoCode, PromoCodeUses
from projections.discounts import months_discounts
from projections.model import storable
from projections.products import prices, products
from projections.promo_codes import promo_codes
from projections.verify import as_json, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.catalog.entries import EntryState
    from projections.verify import Rows

_TABLES: tuple[tuple[Table, str, Callable[[Any], str]], ...] = (
    (products, "id", lambda row: product_key(row["id"])),
    (prices, "id", lambda row: product_key(row["product_id"])),
    (promo_codes, "code", lambda row: promo_key(row["code"])),
    (months_discounts, "id", lambda row: MONTHS_DISCOUNTS_KEY),
)
"""Each table, what its rows are called, and the entry of the catalogue that a row belongs to."""


async def compare_catalogue(connection: AsyncConnection, states: Mapping[str, EntryState]) -> dict[str, list[str]]:
    """Return what differs between the rows and the fold of each entry, one sentence each.

    All rows are read: a catalogue is small beside its customers. Rows of other entries are passed over.
    """
    shown: dict[tuple[str, str], Rows] = {}
    for table, name, entry_of in _TABLES:
        for row in (await connection.execute(select(table))).mappings():
            shown.setdefault((entry_of(row), table.name), {})[row[name]] = dict(row)
    found: dict[str, list[str]] = {}
    for entry, state in states.items():
        if not storable(entry):
            continue
        expected = _expected(state)
        found[entry] = [
            sentence
            for table, _, _ in _TABLES
            for sentence in differences(table, expected.get(table, {}), shown.get((entry, table.name), {}))
        ]
    return found


async def entries_shown(connection: AsyncConnection) -> set[str]:
    """Return the keys of all entries that the tables have rows of."""
    return {
        entry_of(row) for table, _, entry_of in _TABLES for row in (await connection.execute(select(table))).mappings()
    }


def _expected(state: EntryState) -> dict[Table, Rows]:
    match state:
        case NoProduct() | NoPromoCode():
            return {}
        case Product():
            return {products: {state.id: _product(state)}, prices: {p.id: _price(p) for p in state.prices.values()}}
        case PromoCodeUses():
            return {promo_codes: {state.promo.code: _promo_code(state.promo)}}
        case MonthsDiscounts():
            return {months_discounts: {MONTHS_REFERENCE: {"steps": as_json(state.steps)}}}
        case _:
            assert_never(state)


def _product(product: Product) -> dict[str, Any]:
    return {
        "kind": product.kind,
        "title": product.title,
        "description": product.description,
        "role": product.role,
        "validity_days": product.validity_days,
        "terms": as_json(product.terms),
        "active": product.active,
    }


def _price(price: Price) -> dict[str, Any]:
    return {
        "amount": price.amount.amount,
        "currency": price.amount.currency,
        "period_count": None if price.period is None else price.period.count,
        "period_unit": None if price.period is None else price.period.unit,
        "trial_days": price.trial_days,
        "active": price.active,
    }


def _promo_code(promo: PromoCode) -> dict[str, Any]:
    return {
        "basis_points": promo.basis_points,
        "amount": None if promo.amount is None else promo.amount.amount,
        "currency": None if promo.amount is None else promo.amount.currency,
        "products": list(promo.products),
        "months_min": promo.months_min,
        "valid_from": promo.valid_from,
        "valid_until": promo.valid_until,
        "uses_max": promo.uses_max,
        "uses_per_account_max": promo.uses_per_account_max,
        "active": promo.active,
    }
