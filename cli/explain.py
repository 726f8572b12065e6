"""`billing audit explain`: why there is a charge, a refund or a discount, or why something was refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_of_stack
from infra.settings import Settings

if TYPE_CHECKING:
    from projections.account_events import StoredEvent
    from projections.audit.explanation import Explanation


def explain(
    subject: Annotated[str, typer.Argument(help="The id of a payment, an order, a refund, or a (refused) command.")],
    account: Annotated[str, typer.Option("--account", help="Whose it is. [default: the read models are asked]")] = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lead a charge, a refund, a discount or a refusal back to its request, each step with its event in the log."""
    from cli.audit import run

    settings = settings_of_stack(data_dir)
    found = run(_explain(settings, subject, account))
    if found is None:
        raise UsageError(f"the log has no payment, order, refund or command {subject!r}")
    if as_json:
        echo_json(asdict(found))
        return
    typer.secho(f"{found.noun} {found.subject} of {found.account}", bold=True)
    for step in found.steps:
        typer.echo(f"{step.at:%Y-%m-%d %H:%M:%S}  {step.kind:<9}  {step.text}")
        key = f"  idempotency key {step.effect_id}" if step.effect_id else ""
        place = f"{step.event_type} {step.event_id} at {step.position}"
        typer.secho(f"{'':32}{place}, command {step.command_id}{key}", dim=True)


async def _explain(settings: Settings, subject: str, account: str) -> Explanation | None:
    """From the log itself; the read models are asked only whose it is."""
    from infra.postgres.engine import create_engine
    from projections.audit.explanation import CATALOGUE_EVENTS, explain, keys_needed
    from projections.explanations import find_account

    known: str | None = account
    if not account:
        engine = create_engine(settings.database_url, application_name="billing-explain", pool_size=1)
        try:
            async with engine.connect() as connection:
                known = await find_account(connection, subject)
        finally:
            await engine.dispose()
    if known is None:
        return None
    events = await _events(settings, known)
    catalogue = {
        key: tuple(event for event in await _events(settings, key) if isinstance(event.data, CATALOGUE_EVENTS))
        for key in keys_needed(events, subject)
    }
    return explain(events, catalogue, subject)


async def _events(settings: Settings, key: str) -> tuple[StoredEvent, ...]:
    from cli.audit import events_of
    from projections.account_events import StoredEvent

    return tuple(
        StoredEvent(
            account=event.key,
            sequence=event.sequence,
            id=event.id,
            type=event.type,
            at=event.time,
            actor=event.actor,
            command_id=event.command_id,
            correlation_id=event.correlation_id,
            position=position,
            data=event.data,
        )
        for position, event in await events_of(settings, key)
    )
