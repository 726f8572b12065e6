"""What became of each command: pending as soon as it is on its topic, accepted or rejected when the log says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB

from projections.model import (
    Change,
    HistoryEntry,
    Merge,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    storable,
    utc_or_none,
)
from projections.paging import read_one
from schemas.messages import CommandAccepted, CommandRejected, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import CommandRecord, EventRecord

PENDING = "pending"
ACCEPTED = "accepted"
REJECTED = "rejected"
MISPLACED = "command_misplaced"
"""The problem of a command that stands where nobody may decide it; of that no word comes from the log."""

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("body_hash", Text),
    Column("resources", JSONB),
    Column("code", Text),
    Column("detail", Text),
    Column("facts", JSONB),
    Column("position_partition", Integer),
    Column("position_offset", BigInteger),
    Column("correlation_id", Text, nullable=False),
    Column("received_at", Moment),
    Column("received_offset", BigInteger),
    Column("decided_at", Moment),
    Column("updated_at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
)
Index("commands_pending_idx", commands.c.received_at, postgresql_where=commands.c.status == PENDING)

MODEL = ReadModel(
    table=commands,
    history=history_table("commands"),
    merge={"received_at": Merge.KEEP, "received_offset": Merge.KEEP},
)
"""An outcome says all about a command but when it was received, and where on its topic it stands."""
HEARS = (CommandAccepted, CommandRejected)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandView:
    """A command. `code`, `detail` and `facts` are the problem of a rejected one, `position` is that of the outcome."""

    id: str
    account: str
    type: str
    status: str
    body_hash: str | None
    resources: dict[str, str]
    code: str | None
    detail: str | None
    facts: dict[str, str]
    position: str | None
    """`<partition>:<offset>` in the log, as soon as the command is decided; absent in one that nobody may decide."""
    correlation_id: str
    actor: str
    """Who asked, such as `user:ada` or `manager:bob`; a manager's command may be about another account."""
    received_at: datetime | None
    """Absent where the command's own record is no longer on its topic, as in a rebuild years later."""
    decided_at: datetime | None


def project(event: EventRecord, partition: int, offset: int) -> tuple[Change, ...]:
    """Return what the outcome changes; the place of the record is part of it."""
    data: Outcome = event.data
    values: dict[str, Any] = {
        "account": event.key,
        "type": data.command_type,
        "status": ACCEPTED,
        "body_hash": data.body_hash,
        "resources": None,
        "code": None,
        "detail": None,
        "facts": None,
        "position_partition": partition,
        "position_offset": offset,
        "correlation_id": event.correlation_id,
        "actor": event.actor,
        "decided_at": event.time,
    }
    match data:
        case CommandAccepted():
            values["resources"] = data.resources
            noted: dict[str, Any] = {"status": ACCEPTED, "resources": data.resources}
        case CommandRejected():
            problem = {"status": REJECTED, "code": data.code, "detail": data.detail, "facts": data.facts}
            values |= problem
            noted = problem
        case _:
            assert_never(data)
    noted["type"] = data.command_type
    entity = event.command_id
    return (Change(model=MODEL, key=(entity,), values=values, creates=True, entity=entity, noted=noted),)


def pending_row(command: CommandRecord, offset: int, misplaced: str | None = None) -> tuple[Any, ...]:
    """Return a command without outcome, with its offset on its topic, as a row of PENDING_COLUMNS.

    `misplaced` says why there will be none: the engine keeps such a command among the dead letters.
    """
    is_pending = misplaced is None
    detail = f"{misplaced}: nobody decides it there, and nothing was done.".capitalize()
    return (
        command.id,
        command.key,
        command.type,
        command.body_hash,
        command.correlation_id,
        command.actor,
        command.time,
        offset,
        PENDING if is_pending else REJECTED,
        None if is_pending else MISPLACED,
        None if is_pending else detail,
    )


PENDING_COLUMNS = (
    "id",
    "account",
    "type",
    "body_hash",
    "correlation_id",
    "actor",
    "received_at",
    "received_offset",
    "status",
    "code",
    "detail",
)
RECEIVED_AT = PENDING_COLUMNS.index("received_at")
RECEIVED_OFFSET = PENDING_COLUMNS.index("received_offset")


async def get_many(connection: AsyncConnection, command_ids: Iterable[str]) -> dict[str, CommandView]:
    """Return the commands that are known, by id. The caller compares the account: a command id is no secret."""
    wanted = [command_id for command_id in command_ids if storable(command_id)]
    if not wanted:
        return {}
    rows = await connection.execute(select(commands).where(commands.c.id == func.any(wanted)))
    return {row.id: _view(row) for row in rows}


async def get(connection: AsyncConnection, account: str, command_id: str) -> CommandView | None:
    """Return the command, or None where the account sent no such command."""
    return await read_one(connection, select(commands), {commands.c.account: account, commands.c.id: command_id}, _view)


async def history(connection: AsyncConnection, account: str, command_id: str) -> tuple[HistoryEntry, ...]:
    """Return what was decided about the command."""
    return await read_history(connection, MODEL, account, command_id)


def _view(row: Any) -> CommandView:
    decided = row.position_offset is not None
    return CommandView(
        id=row.id,
        account=row.account,
        type=row.type,
        status=row.status,
        body_hash=row.body_hash,
        resources=row.resources or {},
        code=row.code,
        detail=row.detail,
        facts=row.facts or {},
        position=f"{row.position_partition}:{row.position_offset}" if decided else None,
        correlation_id=row.correlation_id,
        actor=row.actor,
        received_at=utc_or_none(row.received_at),
        decided_at=utc_or_none(row.decided_at),
    )
