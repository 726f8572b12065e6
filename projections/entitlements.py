"""What accounts may watch, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import Column, PrimaryKeyConstraint, Select, Table, Text, or_, select

from domain.entitlements.events import EntitlementEnded, EntitlementEvent, EntitlementGranted
from domain.grants.state import GRANT, lasts_longer
from projections import grants
from projections.model import (
    Change,
    HistoryEntry,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    storable,
    utc_or_none,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from projections.grants import GrantView
    from schemas.envelope import EventRecord

entitlements = Table(
    "entitlements",
    metadata,
    Column("account", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("until", Moment),
    Column("reason", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("subscription_id", Text),
    Column("ended_at", Moment),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("account", "resource", name="entitlements_pkey"),
)

MODEL = ReadModel(table=entitlements, history=history_table("entitlements"))
HEARS = (EntitlementGranted, EntitlementEnded)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementView:
    """One thing that may be watched; `until` absent means for ever."""

    resource: str
    until: datetime | None
    reason: str
    order_id: str | None
    """Absent where a manager gave it."""
    subscription_id: str | None


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: EntitlementEvent = event.data
    match data:
        case EntitlementGranted():
            values = {
                "until": data.until,
                "reason": data.reason,
                "order_id": data.order_id,
                "subscription_id": data.subscription_id,
                "ended_at": None,
            }
            return (_change(event.key, data.resource, values, creates=True),)
        case EntitlementEnded():
            return (_change(event.key, data.resource, {"ended_at": data.ended_at}),)
        case _:
            assert_never(data)


def _change(account: str, resource: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(account, resource), values=values, creates=creates, entity=resource)


async def list_current(connection: AsyncConnection, account: str, now: datetime) -> tuple[EntitlementView, ...]:
    """Return all that the account may watch at `now`, by resource.

    Access ends at its moment even where the event that says so has not been projected yet.
    """
    if not storable(account):
        return ()
    found = {row.resource: _view(row) for row in await connection.execute(_current(account, now))}
    for given in await grants.list_current(connection, account, now):
        bought = found.get(given.resource)
        if bought is None or lasts_longer(given.until, bought.until):
            found[given.resource] = _given(given)
    return tuple(found[resource] for resource in sorted(found))


async def get(connection: AsyncConnection, account: str, resource: str, now: datetime) -> EntitlementView | None:
    """Return the right to watch the resource at `now`, or None."""
    if not storable(account, resource):
        return None
    everything = await list_current(connection, account, now)
    return next((held for held in everything if held.resource == resource), None)


async def history(connection: AsyncConnection, account: str, resource: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the account's right to watch the resource, oldest first."""
    return await read_history(connection, MODEL, account, resource)


def _current(account: str, now: datetime) -> Select[Any]:
    return select(entitlements).where(
        entitlements.c.account == account,
        entitlements.c.ended_at.is_(None),
        or_(entitlements.c.until.is_(None), entitlements.c.until > now),
    )


def _given(given: GrantView) -> EntitlementView:
    return EntitlementView(
        resource=given.resource, until=given.until, reason=GRANT, order_id=None, subscription_id=None
    )


def _view(row: Any) -> EntitlementView:
    return EntitlementView(
        resource=row.resource,
        until=utc_or_none(row.until),
        reason=row.reason,
        order_id=row.order_id,
        subscription_id=row.subscription_id,
    )
