"""What waits too long, for `billing doctor`, and `billing resume`, which has it gone on with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_of_stack
from infra.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from infra.kafka.command_sender import CommandSender
    from projections.overdue import OverdueKind, OverdueView
    from schemas.envelope import CommandRecord

SOURCE = "billing/cli"
ACTOR = "operator"
_BROKER_TIMEOUT_S = 15.0
_APPLICATION = "billing-resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """All that waits too long: how many of each kind, and the oldest of them."""

    counts: dict[OverdueKind, int]
    items: tuple[OverdueView, ...]


async def look(settings: Settings, now: datetime) -> Overdue:
    """Look at everything once. Raises KafkaError, OSError, TimeoutError, sqlalchemy.exc.DBAPIError."""
    from infra.kafka.standing import read_standing
    from infra.kafka.topics import topics_of
    from infra.postgres.engine import create_engine
    from projections import overdue

    async with asyncio.timeout(_BROKER_TIMEOUT_S):
        standing = await read_standing(
            settings.kafka_bootstrap, topics_of(settings), letters_of=overdue.PATIENCE.letters
        )
    engine = create_engine(settings.database_url, application_name="billing-doctor", pool_size=1)
    try:
        async with engine.connect() as connection:
            counts = await overdue.count(connection, now)
            items = await overdue.list_oldest(connection, now, limit=overdue.ITEMS_MAX)
    finally:
        await engine.dispose()
    of_broker = overdue.of_standing(standing, now)
    for item in of_broker:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return Overdue(counts=counts, items=(*of_broker, *items))


def as_document(item: OverdueView, now: datetime) -> dict[str, Any]:
    """One thing that waits, for machines."""
    return {
        "id": item.id,
        "kind": str(item.kind),
        "account": item.account,
        "noun": item.noun,
        "subject": item.subject,
        "since": item.since.isoformat(),
        "deadline": item.deadline.isoformat(),
        "age_seconds": int((now - item.since).total_seconds()),
        "attempts": item.attempts,
        "next_at": None if item.next_at is None else item.next_at.isoformat(),
        "cause": item.cause,
        "resume": f"billing resume {item.id}" if item.is_resumable else None,
    }


def age(seconds: int) -> str:
    """`3 d 4 h`, `12 min`, `40 s`."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for index, (unit, length) in enumerate(units):
        if seconds >= length:
            smaller = units[index + 1 : index + 2] if unit in {"d", "h"} else ()
            rest = [f"{seconds % length // size} {name}" for name, size in smaller if seconds % length // size]
            return " ".join([f"{seconds // length} {unit}", *rest])
    return "0 s"


def resume(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids as `billing doctor` lists them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that `billing doctor` lists.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with what waits: repeat a call under the same key, fire a timer that is due. Harmless, and never twice."""
    from aiokafka.errors import KafkaError
    from sqlalchemy.exc import SQLAlchemyError

    from infra.kafka.command_sender import SendRefusedError, SendUnknownError
    from infra.kafka.log_reader import LogReadError

    if bool(ids) == everything:
        raise UsageError("name what to go on with, or say --all")
    settings = settings_of_stack(data_dir)
    try:
        done = asyncio.run(_resume(settings, ids or []))
    except (KafkaError, LogReadError, OSError, TimeoutError, SendRefusedError, SendUnknownError) as error:
        raise UsageError(f"the broker at {settings.kafka_bootstrap}: {error or type(error).__name__}") from error
    except SQLAlchemyError as error:
        raise UsageError(f"the database: {error}") from error
    if as_json:
        echo_json(done)
    else:
        for overdue_id, outcome in done.items():
            typer.echo(f"{overdue_id}  {outcome}")
        if not done:
            typer.echo("nothing waits too long")
    if "unknown" in done.values():
        raise typer.Exit(1)


async def _resume(settings: Settings, ids: list[str]) -> dict[str, str]:
    """Send what goes on with each; what was sent by id: `sent`, or `unknown` where nothing of that id ever waited."""
    from infra.clock import clock_of
    from infra.kafka.command_sender import CommandSender
    from infra.kafka.topics import topics_of
    from infra.postgres.engine import create_engine

    now = clock_of(settings).now()
    if not ids:
        found = await look(settings, now)
        ids = [item.id for item in found.items if item.is_resumable]
    engine = create_engine(settings.database_url, application_name=_APPLICATION, pool_size=1)
    sender = CommandSender(settings.kafka_bootstrap, topics_of(settings).commands, partitions=settings.partitions)
    sender.start()
    try:
        async with engine.connect() as connection:
            return {each: await _resume_one(connection, sender, settings, each, now) for each in dict.fromkeys(ids)}
    finally:
        await sender.stop()
        await engine.dispose()


async def _resume_one(
    connection: AsyncConnection, sender: CommandSender, settings: Settings, overdue_id: str, now: datetime
) -> str:
    command = await _command(connection, settings, overdue_id, now)
    if command is None:
        return "unknown"
    await sender.send(command)
    return "sent"


async def _command(
    connection: AsyncConnection, settings: Settings, overdue_id: str, now: datetime
) -> CommandRecord | None:
    """The command that goes on with it. As long as nothing has happened to the thing, it is the same command."""
    from domain.ids import CommandId, derive
    from domain.operations.commands import ResumeOverdue
    from infra.kafka.command_finder import find_command
    from infra.kafka.topics import topics_of
    from projections import overdue
    from schemas.envelope import new_command

    waiting = await overdue.get_waiting(connection, overdue_id)
    if waiting is not None:
        name = f"resume {waiting.id} {waiting.updated_at.isoformat()} {waiting.next_at}"
        return new_command(
            command_id=CommandId(derive(waiting.account, name)),
            key=waiting.account,
            time=now,
            source=SOURCE,
            actor=ACTOR,
            data=ResumeOverdue(subject=waiting.subject),
        )
    pending = await overdue.get_pending_command(connection, overdue_id)
    if pending is None or pending.offset is None:
        return None
    topic = topics_of(settings).commands
    return await find_command(
        settings.kafka_bootstrap, topic, key=pending.account, offset=pending.offset, command_id=pending.id
    )
