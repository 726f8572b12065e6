"""Which orders use which promo codes, as their accounts know it: limited codes and those without a limit alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import Boolean, Column, ColumnElement, Index, Table, Text, func, select

from domain.ids import spelled
from domain.promo.events import (
    PromoUseCallRepeated,
    PromoUseEvent,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from projections.model import Change, Merge, Moment, ReadModel, history_table, metadata, storable, utc
from projections.paging import Page, read_page

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord


class UseStatus(StrEnum):
    """How far an order's use of a promo code has come, to its end."""

    RESERVING = "reserving"
    HELD = "held"
    SETTLED = "settled"
    """The order was paid; of codes that have a limit."""
    REFUSED = "refused"
    RELEASING = "releasing"
    RELEASED = "released"


promo_uses = Table(
    "promo_uses",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("is_limited", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("refusal", Text),
    Column("asked_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("promo_uses_account_code_idx", promo_uses.c.account, promo_uses.c.code)
Index("promo_uses_code_asked_at_idx", promo_uses.c.code, promo_uses.c.asked_at.desc(), promo_uses.c.order_id.desc())

MODEL = ReadModel(table=promo_uses, history=history_table("promo_uses"), merge={"asked_at": Merge.KEEP})
HEARS = (
    PromoUseRequested,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseCallRepeated,
    PromoUseReleaseRequested,
    PromoUseReleased,
    PromoUseSettled,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseView:
    """One order's use of a promo code. `refusal` says why it got none."""

    order_id: str
    account: str
    code: str
    status: str
    refusal: str | None
    asked_at: datetime
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: PromoUseEvent = event.data
    noted: dict[str, Any] | None = None
    creates = False
    match data:
        case PromoUseRequested():
            values, creates = _begun(event, data.code, UseStatus.RESERVING, is_limited=True), True
        case PromoUseHeld():
            values, creates = _begun(event, data.code, UseStatus.HELD, is_limited=data.is_limited), True
        case PromoUseRefused():
            values = {"status": UseStatus.REFUSED, "refusal": data.reason}
        case PromoUseCallRepeated():
            values, noted = {}, {"attempt": data.attempt, "repeat_at": data.repeat_at}
        case PromoUseReleaseRequested():
            values = {"status": UseStatus.RELEASING}
        case PromoUseReleased():
            values = {"status": UseStatus.RELEASED}
        case PromoUseSettled():
            values = {"status": UseStatus.SETTLED}
        case _:
            assert_never(data)
    return (
        Change(model=MODEL, key=(data.order_id,), values=values, creates=creates, entity=data.order_id, noted=noted),
    )


def _begun(event: EventRecord, code: str, status: UseStatus, *, is_limited: bool) -> dict[str, Any]:
    return {
        "account": event.key,
        "code": code,
        "is_limited": is_limited,
        "status": status,
        "refusal": None,
        "asked_at": event.time,
    }


def takes_a_use() -> ColumnElement[bool]:
    """Tell of a row whether the code has one use less for it, until the code has it back."""
    return promo_uses.c.status.in_([UseStatus.HELD, UseStatus.SETTLED, UseStatus.RELEASING])


async def count_taken(connection: AsyncConnection, code: str) -> int:
    """Return how many uses of the code are taken, by whomever."""
    statement = select(func.count()).select_from(promo_uses).where(promo_uses.c.code == code, takes_a_use())
    return int((await connection.execute(statement)).scalar_one())


async def count_of_account(connection: AsyncConnection, account: str, code: str) -> int:
    """Return how many orders of the account use the code, as the account itself counts them."""
    if not storable(account):
        return 0
    counted = promo_uses.c.status.in_([UseStatus.RESERVING, UseStatus.HELD, UseStatus.SETTLED])
    statement = (
        select(func.count())
        .select_from(promo_uses)
        .where(promo_uses.c.account == account, promo_uses.c.code == code, counted)
    )
    return int((await connection.execute(statement)).scalar_one())


async def list_page(
    connection: AsyncConnection, code: str, *, limit: int = 20, cursor: str | None = None
) -> Page[PromoUseView]:
    """Return the orders that asked for the code, newest first. Raises CursorInvalidError."""
    where, sort = {promo_uses.c.code: spelled(code)}, (promo_uses.c.asked_at, promo_uses.c.order_id)
    return await read_page(connection, select(promo_uses), where, sort, _view, limit=limit, cursor=cursor)


def _view(row: Any) -> PromoUseView:
    return PromoUseView(
        order_id=row.order_id,
        account=row.account,
        code=row.code,
        status=row.status,
        refusal=row.refusal,
        asked_at=utc(row.asked_at),
        updated_at=utc(row.updated_at),
    )
