"""Explanations from the read side: the account's events and the catalogue's, as PostgreSQL has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, union_all

from projections import account_events
from projections.audit.explanation import CATALOGUE_EVENTS, Explanation, explain, keys_needed
from projections.commands import commands
from projections.model import storable
from projections.orders import orders
from projections.payments import payments
from projections.refunds import refunds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def find_account(connection: AsyncConnection, subject: str) -> str | None:
    """Return the account of the payment, order, refund or command of this id, or None where there is none."""
    if not storable(subject):
        return None
    tables = (payments, orders, refunds, commands)
    found = union_all(*(select(table.c.account).where(table.c.id == subject) for table in tables))
    row = (await connection.execute(found)).first()
    return None if row is None else str(row.account)


async def get(connection: AsyncConnection, account: str, subject: str, *, names_staff: bool) -> Explanation | None:
    """Return why there is this payment, order or refund of the account, or why this command was refused.

    None where the account has no such thing.
    """
    events = await account_events.list_all(connection, account)
    if not events:
        return None
    catalogue = {
        key: await account_events.list_of(connection, key, CATALOGUE_EVENTS) for key in keys_needed(events, subject)
    }
    return explain(events, catalogue, subject, names_staff=names_staff)
