"""Promo codes as managers see them: what they are, and which orders use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Boolean, Column, Integer, Select, Table, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.ids import ProductId, promo_key, spelled
from domain.money import Money
from domain.pricing.state import PromoCode
from domain.promo.events import (
    PromoCodeArchived,
    PromoCodeDefined,
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeReserved,
    PromoCodeSettled,
    PromoEvent,
)
from projections.model import (
    Change,
    HistoryEntry,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    utc,
    utc_or_none,
)
from projections.paging import Page, checked_limit, decode_cursor, lowest_first, page_of, read_one
from projections.promo_uses import promo_uses, takes_a_use

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

promo_codes = Table(
    "promo_codes",
    metadata,
    Column("code", Text, primary_key=True),
    Column("basis_points", Integer),
    Column("amount", BigInteger),
    Column("currency", Text),
    Column("products", JSONB, nullable=False),
    Column("months_min", Integer),
    Column("valid_from", Moment),
    Column("valid_until", Moment),
    Column("uses_max", Integer),
    Column("uses_per_account_max", Integer),
    Column("active", Boolean, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

MODEL = ReadModel(table=promo_codes, history=history_table("promo_codes"))
HEARS = (
    PromoCodeDefined,
    PromoCodeArchived,
    PromoCodeReserved,
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeSettled,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeView:
    """A promo code, and how many orders use it: paid ones, and open ones that have a use."""

    promo: PromoCode
    uses: int
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes. Who has a use stands in the table of uses; here it is a line of the history."""
    data: PromoEvent = event.data
    match data:
        case PromoCodeDefined(promo=promo):
            return (Change(model=MODEL, key=(promo.code,), values=_defined(promo), creates=True, entity=promo.code),)
        case PromoCodeArchived():
            return (_change(data.code, {"active": False}, None),)
        case PromoCodeReserved():
            return (_change(data.code, {}, {"reserved_by": data.order_id, "account": data.account}),)
        case PromoCodeRefused():
            noted = {"refused_to": data.order_id, "account": data.account, "reason": data.reason}
            return (_change(data.code, {}, noted),)
        case PromoCodeReleased():
            return (_change(data.code, {}, {"released_by": data.order_id, "account": data.account}),)
        case PromoCodeSettled():
            return (_change(data.code, {}, {"settled_by": data.order_id}),)
        case _:
            assert_never(data)


def _change(code: str, values: dict[str, Any], noted: dict[str, Any] | None) -> Change:
    return Change(model=MODEL, key=(code,), values=values, entity=code, noted=noted)


def _defined(promo: PromoCode) -> dict[str, Any]:
    return {
        "basis_points": promo.basis_points,
        "amount": None if promo.amount is None else promo.amount.amount,
        "currency": None if promo.amount is None else promo.amount.currency,
        "products": promo.products,
        "months_min": promo.months_min,
        "valid_from": promo.valid_from,
        "valid_until": promo.valid_until,
        "uses_max": promo.uses_max,
        "uses_per_account_max": promo.uses_per_account_max,
        "active": promo.active,
    }


async def get(connection: AsyncConnection, code: str) -> PromoCodeView | None:
    """Return the promo code, archived or not, however it is spelled."""
    return await read_one(connection, _with_uses(), {promo_codes.c.code: spelled(code)}, _view)


async def list_page(
    connection: AsyncConnection, *, active: bool | None = None, limit: int = 20, cursor: str | None = None
) -> Page[PromoCodeView]:
    """Return promo codes in the order of the alphabet. Raises CursorInvalidError."""
    after = None if cursor is None else decode_cursor(cursor, tuple[str])
    statement = _with_uses()
    if active is not None:
        statement = statement.where(promo_codes.c.active.is_(active))
    statement = lowest_first(statement, (promo_codes.c.code,), after).limit(checked_limit(limit) + 1)
    rows = (await connection.execute(statement)).all()
    return page_of(rows, limit, _view, lambda row: (row.code,))


async def history(connection: AsyncConnection, code: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the promo code, and who got, gave back and was refused its uses, oldest first."""
    return await read_history(connection, MODEL, promo_key(spelled(code)), spelled(code))


def _with_uses() -> Select[Any]:
    uses = (
        select(func.count())
        .select_from(promo_uses)
        .where(promo_uses.c.code == promo_codes.c.code, takes_a_use())
        .scalar_subquery()
        .label("uses")
    )
    return select(promo_codes, uses)


def _view(row: Any) -> PromoCodeView:
    promo = PromoCode(
        code=row.code,
        basis_points=row.basis_points,
        amount=None if row.amount is None else Money(amount=row.amount, currency=row.currency),
        products=tuple(map(ProductId, row.products)),
        months_min=row.months_min,
        valid_from=utc_or_none(row.valid_from),
        valid_until=utc_or_none(row.valid_until),
        uses_max=row.uses_max,
        uses_per_account_max=row.uses_per_account_max,
        active=row.active,
    )
    return PromoCodeView(promo=promo, uses=row.uses, updated_at=utc(row.updated_at))
