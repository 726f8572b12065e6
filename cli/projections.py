"""`billing projections`: how far the read models are behind the log."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_of_stack
from infra.settings import Settings

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
