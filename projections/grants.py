"""Access that managers gave, with who gave it and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text, or_, select

from domain.grants.events import GrantEnded, GrantEvent, GrantGiven, GrantRevoked
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

grants = Table(
    "grants",
    metadata,
    Column("account", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("until", Moment),
    Column("reason", Text, nullable=False),
    Column("given_at", Moment, nullable=False),
    Column("given_by", Text, nullable=False),
    Column("ended_at", Moment),
    Column("ended_because", Text),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("account", "resource", name="grants_pkey"),
)
Index("grants_given_at_idx", grants.c.given_at.desc(), grants.c.account.desc(), grants.c.resource.desc())

MODEL = ReadModel(table=grants, history=history_table("grants"))
HEARS = (GrantGiven, GrantRevoked, GrantEnded)
OVER = "its time was over"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantView:
    """The newest grant of a resource to an account; `ended_at` is set where it was revoked or its time was over."""

    account: str
    resource: str
    until: datetime | None
    reason: str
    given_at: datetime
    given_by: str
    ended_at: datetime | None
    ended_because: str | None


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: GrantEvent = event.data
    match data:
        case GrantGiven():
            values = {
                "until": data.until,
                "reason": data.reason,
                "given_at": event.time,
                "given_by": event.actor,
                "ended_at": None,
                "ended_because": None,
            }
            return (_change(event.key, data.resource, values, creates=True),)
        case GrantRevoked():
            return (_change(event.key, data.resource, {"ended_at": event.time, "ended_because": data.reason}),)
        case GrantEnded():
            return (_change(event.key, data.resource, {"ended_at": data.ended_at, "ended_because": OVER}),)
        case _:
            assert_never(data)


def _change(account: str, resource: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(account, resource), values=values, creates=creates, entity=resource)


async def get(connection: AsyncConnection, account: str, resource: str) -> GrantView | None:
    """Return the newest grant of the resource to the account, or None where there never was one."""
    return await read_one(connection, select(grants), {grants.c.account: account, grants.c.resource: resource}, _view)


async def list_current(connection: AsyncConnection, account: str, now: datetime) -> tuple[GrantView, ...]:
    """Return the grants by which the account may watch something at `now`."""
    if not storable(account):
        return ()
    statement = select(grants).where(
        grants.c.account == account,
        grants.c.ended_at.is_(None),
        or_(grants.c.until.is_(None), grants.c.until > now),
    )
    return tuple(_view(row) for row in await connection.execute(statement))


async def list_page(
    connection: AsyncConnection, *, account: str | None = None, limit: int = 20, cursor: str | None = None
) -> Page[GrantView]:
    """Return the grants of an account, or of all, newest first, ended ones among them. Raises CursorInvalidError."""
    where, sort = {grants.c.account: account}, (grants.c.given_at, grants.c.account, grants.c.resource)
    return await read_page(connection, select(grants), where, sort, _view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, resource: str) -> tuple[HistoryEntry, ...]:
    """Return every grant of the resource to the account and how each ended, oldest first."""
    return await read_history(connection, MODEL, account, resource)


def _view(row: Any) -> GrantView:
    return GrantView(
        account=row.account,
        resource=row.resource,
        until=utc_or_none(row.until),
        reason=row.reason,
        given_at=utc(row.given_at),
        given_by=row.given_by,
        ended_at=utc_or_none(row.ended_at),
        ended_because=row.ended_because,
    )
