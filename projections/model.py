"""What every read model is made of: a table, its history, and the changes that events make to both."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA = "billing"

metadata = MetaData(schema=SCHEMA)
"""Every table of the read side. The migrations build the same tables; a test compares the two."""

Moment = DateTime(timezone=True)


class Merge(Enum):
    """What an insert does to a column of a row that is there already."""

    SET = "set"
    """The newer value wins."""
    ADD = "add"
    """Amounts and counts add up, in memory as well as in the table."""
    KEEP = "keep"
    """The first value stays."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadModel:
    """A table that is folded from events. `merge` names the columns that are not simply set."""

    table: Table
    history: Table | None
    merge: Mapping[str, Merge] = field(default_factory=dict)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one event does to one row.

    `creates` says that the values make a whole row: it is inserted, or laid over the one that is there. Otherwise
    the row must exist already and only the named columns change. `entity` is the id that the history is filed under,
    `noted` what the history says, where that is not `values`; an empty `noted` leaves no line in the history.
    """

    model: ReadModel
    key: tuple[str, ...]
    values: dict[str, Any]
    creates: bool = False
    entity: str
    noted: dict[str, Any] | None = None


def history_table(name: str) -> Table:
    """Return the history of the table `name`: one line for each event that changed a row of it.

    An event has its own sequence number in its account, so the primary key refuses any event that comes twice. An
    index of event ids beside it would say the same, and being of random values it would cost as much as all the rest.
    """
    return Table(
        f"{name}_history",
        metadata,
        Column("account", Text, nullable=False),
        Column("entity_id", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("event_id", Text, nullable=False),
        Column("event_type", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("at", Moment, nullable=False),
        Column("actor", Text, nullable=False),
        Column("command_id", Text, nullable=False),
        Column("changes", JSONB, nullable=False),
        PrimaryKeyConstraint("account", "entity_id", "sequence", name=f"{name}_history_pkey"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change: which event made it, by which command of whom, and the columns that it set."""

    event_id: str
    event_type: str
    sequence: int
    partition: int
    offset: int
    at: datetime
    actor: str
    command_id: str
    changes: dict[str, Any]


HISTORY_MAX = 1000
"""Entries that one query returns at most; no order or payment comes near it."""


async def read_history(
    connection: AsyncConnection, model: ReadModel, account: str, entity_id: str
) -> tuple[HistoryEntry, ...]:
    """Return the history of one thing of the account, oldest first; empty where the account has no such thing."""
    history = model.history
    assert history is not None, f"{model.table.name} has no history"
    if not storable(account, entity_id):
        return ()
    statement = (
        select(history)
        .where(history.c.account == account, history.c.entity_id == entity_id)
        .order_by(history.c.sequence)
        .limit(HISTORY_MAX)
    )
    return tuple(
        HistoryEntry(
            event_id=row.event_id,
            event_type=row.event_type,
            sequence=row.sequence,
            partition=row.partition,
            offset=row.offset,
            at=utc(row.at),
            actor=row.actor,
            command_id=row.command_id,
            changes=row.changes,
        )
        for row in await connection.execute(statement)
    )


def storable(*texts: str) -> bool:
    """Tell whether PostgreSQL can hold the texts at all: a zero character or half a surrogate pair it cannot.

    Ids come from outside; one that cannot be stored names nothing, so it is not found instead of an error.
    """
    return not any("\0" in text or any("\ud800" <= character <= "\udfff" for character in text) for text in texts)


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC, whatever the time zone of the session."""
    return moment.astimezone(UTC)


def utc_or_none(moment: datetime | None) -> datetime | None:
    """Return the moment in UTC, if there is one."""
    return None if moment is None else moment.astimezone(UTC)
