"""`billing projections`: how far the read models are behind the log, and building them anew."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_of_stack
from infra.settings import Settings

if TYPE_CHECKING:
    from projections.rebuild import Outcome

app = typer.Typer(help="The read models.", no_args_is_help=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """How far one partition is projected: `next_offset` of `end_offset`, both the next one to come."""

    topic: str
    partition: int
    next_offset: int
    end_offset: int
    lag: int


@app.callback()
def projections() -> None:
    """The read models."""


@app.command()
def status(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show, for each partition, how far it is projected."""
    from aiokafka.errors import KafkaError
    from rich.console import Console
    from rich.table import Table
    from sqlalchemy.exc import DBAPIError

    settings = settings_of_stack(data_dir)
    try:
        found = asyncio.run(read_status(settings))
    except KafkaError as error:
        raise UsageError(f"the broker at {settings.kafka_bootstrap}: {error}") from error
    except DBAPIError as error:
        raise UsageError(f"the database: {error.orig}") from error
    if as_json:
        partitions = [asdict(partition) for partition in found]
        echo_json({"lag": sum(partition.lag for partition in found), "partitions": partitions})
        return
    table = Table("topic", "partition", "projected", "end", "lag")
    for partition in found:
        columns = (partition.partition, partition.next_offset, partition.end_offset, partition.lag)
        table.add_row(partition.topic, *map(str, columns))
    Console().print(table)


@app.command()
def rebuild(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only build and compare; exit with 1 where rows differ. Nothing changes.")
    ] = False,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Leave what was served until now in the schema billing_kept.")
    ] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the read models anew from the log, compare them with those that are served, and swap the two.

    Projectors and APIs run on: the served tables stay as they are until the new ones, built beside them, stand at the
    same place in the log; then the two change places in one transaction.

    The log is right: where rows differ, tables and keys are told, and the rebuilt ones are served. To look first, use
    --dry-run; to look afterwards, --keep-old. Killed at whatever moment, it leaves one of the two served, whole; the
    next rebuild clears away the other. Meanwhile the database needs room for both.

    Tables, views and rights that others made in the schema stay. When a command was received is known for ever only
    from the old tables, and is taken over from there.
    """
    from aiokafka.errors import KafkaError
    from psycopg import Error as DatabaseError
    from sqlalchemy.exc import DBAPIError

    from cli.progress import ProgressBar
    from infra.kafka.log_reader import LogReadError
    from projections.feed import LogReplacedError
    from projections.rebuild import Rebuild
    from projections.second_schema import RebuildError

    settings = settings_of_stack(data_dir)
    try:
        with ProgressBar("preparing") as bar:
            work = Rebuild(settings, progress=lambda what, done, total: bar.show(done, total, what))
            outcome = asyncio.run(work.run(swaps=not dry_run, keeps_old=keep_old and not dry_run))
    except (RebuildError, LogReadError, LogReplacedError) as error:
        raise UsageError(str(error)) from error
    except (KafkaError, TimeoutError) as error:
        raise UsageError(f"the broker at {settings.kafka_bootstrap}: {error!r}; begin anew when it is back") from error
    except (DatabaseError, DBAPIError) as error:
        raise UsageError(f"the database: {error}; begin anew when it is back") from error
    if as_json:
        echo_json(_rebuild_document(outcome))
    else:
        _print_rebuild(outcome)
    if dry_run and outcome.differing:
        raise typer.Exit(1)


def _rebuild_document(outcome: Outcome) -> dict[str, Any]:
    return {
        "swapped": outcome.is_swapped,
        "old_schema": outcome.old_schema,
        "old_reason": outcome.old_reason,
        "rows": sum(table.rows for table in outcome.tables),
        "differing": outcome.differing,
        "tables": [
            {"table": table.table, "rows": table.rows, "differing": table.differing} for table in outcome.tables
        ],
        "differences": [asdict(difference) for table in outcome.tables for difference in table.examples],
        "given_up": {"count": outcome.given_up_count, "positions": outcome.given_up},
    }


def _print_rebuild(outcome: Outcome) -> None:
    rows = sum(table.rows for table in outcome.tables)
    typer.echo(f"{rows} rows in {len(outcome.tables)} tables were rebuilt; {outcome.differing} differ.")
    for table in outcome.tables:
        for difference in table.examples:
            typer.echo(f"  {table.table} {' '.join(difference.key)}: {difference.what}")
        if table.differing > len(table.examples):
            typer.echo(f"  {table.table}: and {table.differing - len(table.examples)} more")
    if outcome.given_up_count:
        places = ", ".join(outcome.given_up)
        typer.echo(f"{outcome.given_up_count} records could not be read or stored, as before: {places}")
    if not outcome.is_swapped:
        typer.echo("Nothing was changed.")
    elif outcome.old_reason:
        typer.echo(f"The rebuilt ones are served. The old ones are still in {outcome.old_schema}: {outcome.old_reason}")
    elif outcome.old_schema:
        typer.echo(f"The rebuilt ones are served, the old ones are in {outcome.old_schema}.")
    else:
        typer.echo("The rebuilt ones are served.")


async def read_status(settings: Settings) -> list[PartitionStatus]:
    """Return the partitions of the log and of the commands. Raises KafkaError, sqlalchemy.exc.DBAPIError."""
    from infra.kafka.topics import topics_of
    from infra.postgres.engine import create_engine
    from projections.positions import next_offsets

    topics = topics_of(settings)
    found: list[PartitionStatus] = []
    engine = create_engine(settings.database_url, application_name="billing-status", pool_size=1)
    try:
        async with engine.connect() as connection:
            for topic in (topics.events, topics.commands):
                ends = await _end_offsets(settings.kafka_bootstrap, topic)
                begun = await next_offsets(connection, topic)
                found += [
                    PartitionStatus(
                        topic=topic,
                        partition=partition,
                        next_offset=begun.get(partition, 0),
                        end_offset=end,
                        lag=max(0, end - begun.get(partition, 0)),
                    )
                    for partition, end in sorted(ends.items())
                ]
    finally:
        await engine.dispose()
    return found


async def _end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    from infra.kafka.log_reader import LogReadError, open_log

    try:
        async with open_log(bootstrap, topic) as log:
            return await log.end_offsets()
    except LogReadError as error:
        raise UsageError(str(error)) from error
