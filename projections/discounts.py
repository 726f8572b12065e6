"""Discounts that managers give: personal ones, and the table by months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from sqlalchemy import Column, Index, Integer, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.ids import MONTHS_DISCOUNTS_KEY, DiscountId, ProductId
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted, PersonalDiscountRevoked
from domain.pricing.quote import MONTHS_REFERENCE
from domain.pricing.state import MonthsDiscounts, MonthsStep, PersonalDiscount
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
    utc_or_none,
)
from projections.paging import Page, read_one, read_page

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

personal_discounts = Table(
    "personal_discounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("basis_points", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("products", JSONB, nullable=False),
    Column("valid_from", Moment),
    Column("valid_until", Moment),
    Column("granted_at", Moment, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("revoked_at", Moment),
    Column("updated_at", Moment, nullable=False),
)
Index(
    "personal_discounts_account_granted_at_idx",
    personal_discounts.c.account,
    personal_discounts.c.granted_at.desc(),
    personal_discounts.c.id.desc(),
)
Index("personal_discounts_granted_at_idx", personal_discounts.c.granted_at.desc(), personal_discounts.c.id.desc())
months_discounts = Table(
    "months_discounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("steps", JSONB, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

MODEL = ReadModel(table=personal_discounts, history=history_table("personal_discounts"))
MONTHS = ReadModel(table=months_discounts, history=history_table("months_discounts"))
HEARS = (PersonalDiscountGranted, PersonalDiscountRevoked, MonthsDiscountsDefined)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalDiscountView:
    """A discount of one customer, with who gave it; `revoked_at` is set where it was taken back."""

    account: str
    discount: PersonalDiscount
    granted_at: datetime
    granted_by: str
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthsDiscountsView:
    """The table of discounts by months; `updated_at` absent: nobody ever defined one."""

    table: MonthsDiscounts
    updated_at: datetime | None


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: PersonalDiscountGranted | PersonalDiscountRevoked | MonthsDiscountsDefined = event.data
    match data:
        case PersonalDiscountGranted():
            return (_personal(data.discount_id, _granted(event, data.discount), creates=True),)
        case PersonalDiscountRevoked():
            return (_personal(data.discount_id, {"revoked_at": event.time}),)
        case MonthsDiscountsDefined():
            key = MONTHS_REFERENCE
            return (Change(model=MONTHS, key=(key,), values={"steps": data.steps}, creates=True, entity=key),)
        case _:
            assert_never(data)


def _personal(discount_id: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(discount_id,), values=values, creates=creates, entity=discount_id)


def _granted(event: EventRecord, discount: PersonalDiscount) -> dict[str, Any]:
    return {
        "account": event.key,
        "basis_points": discount.basis_points,
        "reason": discount.reason,
        "products": discount.products,
        "valid_from": discount.valid_from,
        "valid_until": discount.valid_until,
        "granted_at": event.time,
        "granted_by": event.actor,
        "revoked_at": None,
    }


async def held(connection: AsyncConnection, account: str) -> tuple[PersonalDiscount, ...]:
    """Return the discounts that the account has, oldest first, whether they are valid now or not."""
    if not storable(account):
        return ()
    statement = (
        select(personal_discounts)
        .where(personal_discounts.c.account == account, personal_discounts.c.revoked_at.is_(None))
        .order_by(personal_discounts.c.granted_at, personal_discounts.c.id)
    )
    return tuple(_view(row).discount for row in await connection.execute(statement))


async def get(connection: AsyncConnection, account: str, discount_id: str) -> PersonalDiscountView | None:
    """Return the discount, or None where the account never had it."""
    where = {personal_discounts.c.account: account, personal_discounts.c.id: discount_id}
    return await read_one(connection, select(personal_discounts), where, _view)


async def list_page(
    connection: AsyncConnection, *, account: str | None = None, limit: int = 20, cursor: str | None = None
) -> Page[PersonalDiscountView]:
    """Return the discounts of an account, or of all, newest first, revoked ones among them.

    Raises CursorInvalidError.
    """
    where = {personal_discounts.c.account: account}
    sort = (personal_discounts.c.granted_at, personal_discounts.c.id)
    return await read_page(connection, select(personal_discounts), where, sort, _view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, discount_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the discount, oldest first."""
    return await read_history(connection, MODEL, account, discount_id)


async def by_months(connection: AsyncConnection) -> MonthsDiscountsView:
    """Return the table of discounts by months."""
    row = (await connection.execute(select(months_discounts))).one_or_none()
    if row is None:
        return MonthsDiscountsView(table=MonthsDiscounts(), updated_at=None)
    steps = msgspec.convert(row.steps, tuple[MonthsStep, ...])
    return MonthsDiscountsView(table=MonthsDiscounts(steps=steps), updated_at=utc(row.updated_at))


async def months_history(connection: AsyncConnection) -> tuple[HistoryEntry, ...]:
    """Return every table of discounts by months that there was, oldest first."""
    return await read_history(connection, MONTHS, MONTHS_DISCOUNTS_KEY, MONTHS_REFERENCE)


def _view(row: Any) -> PersonalDiscountView:
    discount = PersonalDiscount(
        id=DiscountId(row.id),
        basis_points=row.basis_points,
        reason=row.reason,
        products=tuple(map(ProductId, row.products)),
        valid_from=utc_or_none(row.valid_from),
        valid_until=utc_or_none(row.valid_until),
    )
    return PersonalDiscountView(
        account=row.account,
        discount=discount,
        granted_at=utc(row.granted_at),
        granted_by=row.granted_by,
        revoked_at=utc_or_none(row.revoked_at),
    )
