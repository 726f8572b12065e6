"""`billing topics`: create them with the right settings, or compare them with what they must be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_of_stack

Result = TypeVar("Result")
app = typer.Typer(help="The topics on the broker.", no_args_is_help=True)


@app.command()
def create(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Create what is missing; refuses a topic with another number of partitions."""
    from infra.kafka.topics import create_topics

    created = _at_the_broker(create_topics, data_dir)
    if as_json:
        echo_json({"created": created})
    else:
        typer.echo("\n".join(f"created {name}" for name in created) or "all topics are there")


@app.command()
def describe(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show each topic and what is wrong with it; exits with 1 where anything is."""
    from rich.console import Console
    from rich.table import Table

    from infra.kafka.topics import describe_topics

    states = _at_the_broker(describe_topics, data_dir)
    if as_json:
        echo_json([asdict(state) for state in states])
    else:
        table = Table("topic", "partitions", "replicas", "cleanup", "kept", "problems")
        for state in states:
            kept = "for ever" if state.retention_ms < 0 else f"{state.retention_ms // 86_400_000} d"
            table.add_row(
                state.name,
                str(state.partitions),
                str(state.replication_factor),
                state.cleanup,
                kept if state.exists else "",
                "; ".join(state.problems),
            )
        Console().print(table)
    if any(state.problems for state in states):
        raise typer.Exit(1)


def _at_the_broker(do: Callable[..., Coroutine[Any, Any, Result]], data_dir: Path | None) -> Result:
    """Do something with the topics that the settings want; UsageError where the broker does not let us."""
    from aiokafka.errors import KafkaError

    from infra.kafka.topics import topics_of

    settings = settings_of_stack(data_dir)
    try:
        return asyncio.run(
            do(
                settings.kafka_bootstrap,
                topics_of(settings),
                partitions=settings.partitions,
                replication_factor=settings.kafka_replication_factor,
            )
        )
    except KafkaError as error:
        raise UsageError(f"the broker at {settings.kafka_bootstrap}: {error}") from error
