"""`billing reports`: what the books say, for those who keep them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_of_stack

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from infra.settings import Settings
    from projections.reports import Days

app = typer.Typer(help="What the books say: balances, revenue, subscriptions, dunning.", no_args_is_help=True)

SinceOption = Annotated[str, typer.Option("--since", help="The first day, of UTC. [default: 30 days]")]
UntilOption = Annotated[str, typer.Option("--until", help="The day after the last. [default: tomorrow]")]
_DAYS_DEFAULT = 30


@app.command()
def balances(
    at: Annotated[str, typer.Option("--at", help="A moment: 2026-01-31, 2026-01-31T12:00:00Z. [default: now]")] = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every ledger account as it stood at a moment, or will stand if nothing more happens."""
    from projections import ledger_queries

    settings = settings_of_stack(data_dir)
    moment = _moment(at) if at else _now(settings)
    found = _read(settings, lambda connection: ledger_queries.balances(connection, moment))
    _show([asdict(row) for row in found], {"at": moment.isoformat()}, as_json=as_json)


@app.command()
def revenue(
    since: SinceOption = "", until: UntilOption = "", data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show revenue by day and currency, as it was earned, in minor units."""
    from projections import reports

    settings = settings_of_stack(data_dir)
    days = _days(settings, since, until)
    found = _read(settings, lambda connection: reports.revenue(connection, days))
    _show([asdict(row) | {"day": row.day.isoformat()} for row in found], _named(days), as_json=as_json)


@app.command()
def subscriptions(
    since: SinceOption = "", until: UntilOption = "", data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show subscriptions that began, ended and run, their churn, and the monthly recurring revenue."""
    from projections import reports

    settings = settings_of_stack(data_dir)
    days = _days(settings, since, until)
    found = asdict(_read(settings, lambda connection: reports.subscriptions_report(connection, days)))
    recurring = found.pop("recurring")
    _show(list(recurring), _named(days) | found, as_json=as_json)


@app.command()
def dunning(
    since: SinceOption = "", until: UntilOption = "", data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show what became of the renewals that were declined: recovered, lost, or still tried."""
    from projections import reports

    settings = settings_of_stack(data_dir)
    days = _days(settings, since, until)
    found = _read(settings, lambda connection: reports.dunning(connection, days))
    _show([asdict(row) for row in found], _named(days), as_json=as_json)


def _read(settings: Settings, query: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    from infra.postgres.engine import create_engine

    async def read() -> Any:
        engine = create_engine(settings.database_url, application_name="billing-reports", pool_size=1)
        try:
            async with engine.connect() as connection:
                return await query(connection)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(read())
    except SQLAlchemyError as error:
        raise UsageError(f"the database: {error}") from error


def _now(settings: Settings) -> datetime:
    from infra.clock import clock_of

    return clock_of(settings).now()


def _days(settings: Settings, since: str, until: str) -> Days:
    from projections.reports import DAYS_MAX, Days

    end = _day(until) if until else _now(settings).date() + timedelta(days=1)
    begin = _day(since) if since else end - timedelta(days=_DAYS_DEFAULT)
    if not 0 < (end - begin).days <= DAYS_MAX:
        raise UsageError(f"--until must be 1 to {DAYS_MAX} days after --since")
    return Days(begin=begin, end=end)


def _named(days: Days) -> dict[str, Any]:
    return {"since": days.begin.isoformat(), "until": days.end.isoformat()}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no day: write 2026-01-31") from error


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no moment: write 2026-01-31 or 2026-01-31T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show(rows: list[dict[str, Any]], facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json(facts | {"items": rows})
        return
    from rich.console import Console
    from rich.table import Table

    typer.echo("  ".join(f"{name} {value}" for name, value in facts.items()))
    if not rows:
        typer.echo("nothing")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)
