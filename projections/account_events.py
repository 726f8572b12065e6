"""Every event with its body, by account: what histories are told and explanations are made from, without the log.

It is no model of anything: the rows are the log itself, where PostgreSQL can find them by account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Table, Text, func, select

from projections.model import Moment, metadata, storable, utc
from schemas.codec import decode
from schemas.messages import EVENTS, TYPE_OF

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

account_events = Table(
    "account_events",
    metadata,
    Column("account", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("command_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("account", "sequence", name="account_events_pkey"),
)
"""The body is text and no JSONB: nobody searches in it, and a zero character in a text of a client has to fit."""

EVENTS_MAX = 10_000
"""Events of one account that one query returns at most: a hundred years of monthly renewals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of one account (or of one key of the catalogue), as the log has it."""

    account: str
    sequence: int
    id: str
    type: str
    at: datetime
    actor: str
    command_id: str
    correlation_id: str
    position: str
    """`<partition>:<offset>` in the log."""
    data: Any


async def list_all(connection: AsyncConnection, account: str) -> tuple[StoredEvent, ...]:
    """Return the account's events, oldest first; the newest EVENTS_MAX of them where there are more."""
    if not storable(account):
        return ()
    newest = (
        select(account_events)
        .where(account_events.c.account == account)
        .order_by(account_events.c.sequence.desc())
        .limit(EVENTS_MAX)
    )
    rows = (await connection.execute(newest)).all()
    return tuple(_event(row) for row in reversed(rows))


async def list_of(connection: AsyncConnection, account: str, kinds: Iterable[type]) -> tuple[StoredEvent, ...]:
    """Return the account's events of some kinds, oldest first; the newest EVENTS_MAX where there are more."""
    if not storable(account):
        return ()
    types = [TYPE_OF[kind] for kind in kinds]
    newest = (
        select(account_events)
        .where(account_events.c.account == account, account_events.c.type == func.any(types))
        .order_by(account_events.c.sequence.desc())
        .limit(EVENTS_MAX)
    )
    rows = (await connection.execute(newest)).all()
    return tuple(_event(row) for row in reversed(rows))


def _event(row: Any) -> StoredEvent:
    return StoredEvent(
        account=row.account,
        sequence=row.sequence,
        id=row.id,
        type=row.type,
        at=utc(row.at),
        actor=row.actor,
        command_id=row.command_id,
        correlation_id=row.correlation_id,
        position=f"{row.partition}:{row.offset}",
        data=decode(row.type, row.body.encode(), EVENTS),
    )
