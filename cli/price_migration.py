"""`billing catalog migrate`: a new price for everybody who subscribes at an old one, on purpose and with notice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, parse_duration, settings_of_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.ids import CommandId
    from infra.settings import Settings
    from projections.commands import CommandView

_OUTCOMES_TIMEOUT_S = 600.0
_POLL_INTERVAL_S = 0.1
_BATCH_SIZE = 500
_TRIES_MAX = 20
_SOURCE = "billing/cli"
_ACTOR = "operator"


def migrate(
    old_price: Annotated[str, typer.Argument(help="The price that subscribers have now, such as premium:monthly.")],
    new_price: Annotated[str, typer.Argument(help="The price of the same product that they are to have.")],
    effective: Annotated[
        str,
        typer.Option(
            help="From when on periods cost it: a date (2027-01-31), or how far ahead, to the next midnight (45d)."
        ),
    ],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Announce a new price to every subscriber of an old one: one command each, which repeated changes nothing."""
    from infra.kafka.command_sender import SendRefusedError, SendUnknownError

    settings = settings_of_stack(data_dir)
    effective_at = _moment(settings, effective)
    try:
        outcomes = asyncio.run(announce(settings, old_price, new_price, effective_at))
    except (SendRefusedError, SendUnknownError) as error:
        raise UsageError(f"the broker did not take a command: {error}; run it again, nothing happens twice") from error
    except TimeoutError as error:
        raise UsageError(
            f"no outcome within {_OUTCOMES_TIMEOUT_S:.0f} s: do an engine and a projector run? See `billing doctor`."
        ) from error
    rejected = {name: view for name, view in outcomes.items() if view.code is not None}
    if as_json:
        problems = {name: {"code": view.code, "detail": view.detail} for name, view in rejected.items()}
        echo_json({"subscribers": len(outcomes), "effective_at": effective_at.isoformat(), "rejected": problems})
    else:
        told = len(outcomes) - len(rejected)
        typer.echo(f"{len(outcomes)} subscribers at {old_price}: {told} told of {new_price}, {len(rejected)} rejected")
        for name, view in rejected.items():
            typer.echo(f"  subscription {name}: {view.detail} ({view.code})", err=True)
    if rejected:
        raise typer.Exit(1)


async def announce(
    settings: Settings, old_price: str, new_price: str, effective_at: datetime
) -> dict[str, CommandView]:
    """Send a command for each subscriber and wait for the outcomes; outcomes by subscription.

    The ids of the commands come from subscription, price and moment: whoever was told before is not told again, and
    what was rejected before is tried once more.

    Raises SendRefusedError, SendUnknownError, TimeoutError.
    """
    from domain.ids import PriceId, SubscriptionId
    from domain.subscriptions.commands import MigratePrice
    from infra.clock import clock_of
    from infra.kafka.command_sender import CommandSender
    from infra.kafka.topics import topics_of
    from infra.postgres.engine import create_engine
    from schemas.envelope import new_command

    clock = clock_of(settings)
    engine = create_engine(settings.database_url, application_name="billing-migrate-price", pool_size=1)
    sender = CommandSender(settings.kafka_bootstrap, topics_of(settings).commands, partitions=settings.partitions)
    sender.start()
    sent: dict[CommandId, str] = {}
    try:
        async for page in _subscribers(engine, old_price):
            commands = []
            names = {
                subscription_id: f"migrate {subscription_id} to {new_price} at {effective_at.isoformat()}"
                for _, subscription_id in page
            }
            ids = await _ids(engine, page, names)
            for account, subscription_id in page:
                command_id = ids[subscription_id]
                data = MigratePrice(
                    subscription_id=SubscriptionId(subscription_id),
                    price_id=PriceId(new_price),
                    effective_at=effective_at,
                )
                commands.append(
                    new_command(
                        command_id=command_id, key=account, time=clock.now(), source=_SOURCE, actor=_ACTOR, data=data
                    )
                )
                sent[command_id] = subscription_id
            await asyncio.gather(*map(sender.send, commands))
        return await _outcomes(engine, sent)
    finally:
        await sender.stop()
        await engine.dispose()


async def _subscribers(engine: AsyncEngine, price_id: str) -> AsyncIterator[tuple[tuple[str, str], ...]]:
    """Account and id of every running subscription at the price, page by page."""
    from projections.subscribers import at_price

    after = ""
    while True:
        async with engine.connect() as connection:
            page = await at_price(connection, price_id, after=after, limit=_BATCH_SIZE)
        if not page:
            return
        yield page
        _, after = page[-1]


async def _ids(engine: AsyncEngine, page: tuple[tuple[str, str], ...], names: dict[str, str]) -> dict[str, CommandId]:
    """The id of each subscription's command: the first of its name that was not rejected."""
    from domain.ids import CommandId, derive
    from projections.commands import REJECTED, get_many

    found: dict[str, CommandId] = {}
    left = {subscription_id: account for account, subscription_id in page}
    for number in range(_TRIES_MAX):
        ids = {name: CommandId(derive(account, f"{names[name]} {number}")) for name, account in left.items()}
        async with engine.connect() as connection:
            views = await get_many(connection, list(ids.values()))
        rejected = {command_id for command_id, view in views.items() if view.status == REJECTED}
        found |= ids
        left = {name: account for name, account in left.items() if ids[name] in rejected}
        if not left:
            break
    return found


async def _outcomes(engine: AsyncEngine, sent: dict[CommandId, str]) -> dict[str, CommandView]:
    """Wait until every command is decided and projected; TimeoutError where that takes too long."""
    from rich.console import Console
    from rich.progress import Progress

    from projections.commands import PENDING, get_many

    found: dict[str, CommandView] = {}
    waiting = list(sent)
    console = Console(stderr=True)
    async with asyncio.timeout(_OUTCOMES_TIMEOUT_S):
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("announcing", total=len(sent))
            while waiting:
                async with engine.connect() as connection:
                    views = await get_many(connection, waiting[:_BATCH_SIZE])
                decided = {name: view for name, view in views.items() if view.status != PENDING}
                found |= {sent[command_id]: decided[command_id] for command_id in waiting if command_id in decided}
                waiting = [command_id for command_id in waiting if command_id not in decided]
                progress.update(task, completed=len(found))
                if waiting and not decided:
                    await asyncio.sleep(_POLL_INTERVAL_S)
    return found


def _moment(settings: Settings, text: str) -> datetime:
    """The moment that the option means. UsageError where it means none.

    A length ends at the next midnight, so that the same command on the same day means the same moment.
    """
    from infra.clock import clock_of

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    try:
        if moment is not None:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        ahead = clock_of(settings).now() + parse_duration(text) + timedelta(days=1)
        return ahead.replace(hour=0, minute=0, second=0, microsecond=0)
    except OverflowError as error:
        raise UsageError(f"{text!r} is out of range") from error
