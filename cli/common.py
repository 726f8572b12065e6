"""What several commands share."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from infra.settings import Settings, load_settings

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data directory of a `billing up`. [default: BILLING_DATA_DIR, else .billing]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")]

_DURATION = re.compile(r"(?P<number>\d+)(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class UsageError(Exception):
    """The command cannot do what was asked, and the message says what to do instead."""


def settings_in(data_dir: Path | None) -> Settings:
    """The settings of this process, for the data directory of the option or of the environment."""
    return load_settings() if data_dir is None else load_settings(data_dir=data_dir)


def settings_of_stack(data_dir: Path | None) -> Settings:
    """The same where a broker and a database are known; UsageError where they are not."""
    settings = settings_in(data_dir)
    if not settings.kafka_bootstrap or not settings.database_url:
        raise UsageError(
            f"no stack is running in {settings.data_dir}. Start one with `billing up`, name its directory with "
            "--data-dir or BILLING_DATA_DIR, or set BILLING_KAFKA_BOOTSTRAP and BILLING_DATABASE_URL."
        )
    return settings


def parse_duration(text: str) -> timedelta:
    """`30d`, `12h`, `1d12h30m`, `2w`; UsageError for anything else."""
    position, total = 0, timedelta(0)
    for match in _DURATION.finditer(text):
        if match.start() != position:
            break
        position = match.end()
        try:
            total += int(match["number"]) * _UNITS[match["unit"]]
        except OverflowError as error:
            raise UsageError(f"{text!r} is longer than a calendar") from error
    if not text or position != len(text):
        raise UsageError(f"{text!r} is no duration: write 30d, 12h, 90m, 2w or 1d12h")
    return total


def problems_of(error: ValueError) -> str:
    """Say what is wrong with an entry, field by field."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))


def echo_json(document: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
