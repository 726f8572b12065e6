"""Products with their prices, as everybody sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    Select,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.calendar import Period, PeriodUnit
from domain.catalog.events import CatalogEvent, PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.ids import product_key
from domain.money import Money
from domain.policies.terms import Terms
from projections.model import (
    Change,
    HistoryEntry,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    storable,
    utc,
)
from projections.paging import Page, checked_limit, decode_cursor, lowest_first, page_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ids import ProductId
    from schemas.envelope import EventRecord

products = Table(
    "products",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("role", Text),
    Column("validity_days", Integer),
    Column("terms", JSONB),
    Column("active", Boolean, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
prices = Table(
    "prices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("product_id", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period_count", Integer),
    Column("period_unit", Text),
    Column("trial_days", Integer),
    Column("active", Boolean, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("prices_product_id_idx", prices.c.product_id)

_HISTORY = history_table("products")
MODEL = ReadModel(table=products, history=_HISTORY)
PRICES = ReadModel(table=prices, history=_HISTORY)
"""Prices have a table of their own; what happens to them stands in the history of their product."""
HEARS = (ProductDefined, ProductArchived, PriceAdded, PriceArchived)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceView:
    """A price; `period` is absent for films, `trial_days` where it cannot be tried for nothing."""

    id: str
    amount: Money
    period: Period | None
    trial_days: int | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductView:
    """A product with its prices, the lowest first. `terms` are what it says otherwise than the settings."""

    id: str
    kind: str
    title: str
    description: str
    role: str | None
    validity_days: int | None
    terms: Terms | None
    active: bool
    prices: tuple[PriceView, ...]
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: CatalogEvent = event.data
    match data:
        case ProductDefined():
            return (_product_change(data.product_id, _defined(data), creates=True),)
        case ProductArchived():
            return (_product_change(data.product_id, {"active": False}),)
        case PriceAdded():
            return (_price_change(data.product_id, data.price.id, _added(data), creates=True),)
        case PriceArchived():
            return (_price_change(data.product_id, data.price_id, {"active": False}),)
        case _:
            assert_never(data)


def _product_change(product_id: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(product_id,), values=values, creates=creates, entity=product_id)


def _price_change(product_id: str, price_id: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    noted = {"price_id": price_id, **values}
    return Change(model=PRICES, key=(price_id,), values=values, creates=creates, entity=product_id, noted=noted)


def _defined(defined: ProductDefined) -> dict[str, Any]:
    return {
        "kind": defined.kind,
        "title": defined.title,
        "description": defined.description,
        "role": defined.role,
        "validity_days": defined.validity_days,
        "terms": defined.terms,
        "active": True,
    }


def _added(added: PriceAdded) -> dict[str, Any]:
    price = added.price
    return {
        "product_id": added.product_id,
        "amount": price.amount.amount,
        "currency": price.amount.currency,
        "period_count": None if price.period is None else price.period.count,
        "period_unit": None if price.period is None else price.period.unit,
        "trial_days": price.trial_days,
        "active": price.active,
    }


async def get(connection: AsyncConnection, product_id: str) -> ProductView | None:
    """Return the product if it is on sale, with the prices on sale."""
    if not storable(product_id):
        return None
    lowest = _lowest_prices()
    row = (await connection.execute(_on_sale(lowest).where(products.c.id == product_id))).one_or_none()
    if row is None:
        return None
    return _view(row, (await _prices_of(connection, (product_id,))).get(product_id, ()))


async def list_page(
    connection: AsyncConnection, *, kind: str | None = None, limit: int = 20, cursor: str | None = None
) -> Page[ProductView]:
    """Return products on sale by their lowest price. Raises CursorInvalidError.

    Amounts of different currencies cannot be compared: products are sorted by currency first.
    """
    lowest = _lowest_prices()
    after = None if cursor is None else decode_cursor(cursor, tuple[str, int, str])
    statement = _on_sale(lowest)
    if kind is not None:
        statement = statement.where(products.c.kind == kind)
    sort: tuple[ColumnElement[Any], ...] = (lowest.c.currency, lowest.c.amount, products.c.id)
    rows = (await connection.execute(lowest_first(statement, sort, after).limit(checked_limit(limit) + 1))).all()
    found = await _prices_of(connection, (row.id for row in rows[:limit]))
    return page_of(
        rows, limit, lambda row: _view(row, found.get(row.id, ())), lambda row: (row.currency, row.amount, row.id)
    )


async def find(connection: AsyncConnection, product_id: str) -> ProductView | None:
    """Return the product, archived or not, with every price that it ever had: for managers."""
    if not storable(product_id):
        return None
    row = (await connection.execute(select(products).where(products.c.id == product_id))).one_or_none()
    if row is None:
        return None
    return _view(row, (await _prices_of(connection, (product_id,), all_of_them=True)).get(product_id, ()))


async def list_all(connection: AsyncConnection, *, limit: int = 20, cursor: str | None = None) -> Page[ProductView]:
    """Return every product by its id, archived ones among them, with every price. Raises CursorInvalidError."""
    after = None if cursor is None else decode_cursor(cursor, tuple[str])
    statement = lowest_first(select(products), (products.c.id,), after).limit(checked_limit(limit) + 1)
    rows = (await connection.execute(statement)).all()
    found = await _prices_of(connection, (row.id for row in rows[:limit]), all_of_them=True)
    return page_of(rows, limit, lambda row: _view(row, found.get(row.id, ())), lambda row: (row.id,))


async def history(connection: AsyncConnection, product_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the product and its prices, oldest first."""
    return await read_history(connection, MODEL, product_key(_as_id(product_id)), product_id)


def terms_of(column: Any) -> Terms | None:
    """Return the terms of a column that holds some, or none."""
    return None if column is None else msgspec.convert(column, Terms)


def _as_id(product_id: str) -> ProductId:
    return product_id  # type: ignore[return-value]  # a NewType at run time is its text


def _lowest_prices() -> Any:
    """Return, as a subquery, the first of each product's prices on sale in the order of the list."""
    rank = func.row_number().over(
        partition_by=prices.c.product_id, order_by=(prices.c.currency, prices.c.amount, prices.c.id)
    )
    ranked = (
        select(prices.c.product_id, prices.c.currency, prices.c.amount, rank.label("rank"))
        .where(prices.c.active)
        .subquery("ranked")
    )
    return select(ranked).where(ranked.c.rank == 1).subquery("lowest")


def _on_sale(lowest: Any) -> Select[Any]:
    """A product without a price on sale cannot be bought, so it is not on sale either."""
    return (
        select(products, lowest.c.currency, lowest.c.amount)
        .join(lowest, lowest.c.product_id == products.c.id)
        .where(products.c.active)
    )


async def _prices_of(
    connection: AsyncConnection, product_ids: Iterable[str], *, all_of_them: bool = False
) -> dict[str, tuple[PriceView, ...]]:
    statement = (
        select(prices)
        .where(prices.c.product_id == func.any(list(product_ids)))
        .order_by(prices.c.currency, prices.c.amount, prices.c.id)
    )
    if not all_of_them:
        statement = statement.where(prices.c.active)
    found: dict[str, tuple[PriceView, ...]] = {}
    for row in await connection.execute(statement):
        found[row.product_id] = (*found.get(row.product_id, ()), _price_view(row))
    return found


def _price_view(row: Row[Any]) -> PriceView:
    period = None
    if row.period_count is not None:
        period = Period(count=row.period_count, unit=PeriodUnit(row.period_unit))
    return PriceView(
        id=row.id,
        amount=Money(amount=row.amount, currency=row.currency),
        period=period,
        trial_days=row.trial_days,
        active=row.active,
    )


def _view(row: Row[Any], found: tuple[PriceView, ...]) -> ProductView:
    return ProductView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        description=row.description,
        role=row.role,
        validity_days=row.validity_days,
        terms=terms_of(row.terms),
        active=row.active,
        prices=found,
        updated_at=utc(row.updated_at),
    )
