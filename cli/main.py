"""The console script `billing`: the only place that composes everything."""

from __future__ import annotations

import sys

import typer

from cli import (
    audit,
    catalog,
    clock,
    doctor,
    explain,
    overdue,
    price_migration,
    projections,
    reports,
    roles,
    sandbox,
    schemas,
    setup,
    token,
    topics,
    up,
)
from cli.common import UsageError
from domain.policies.settings import PoliciesInvalidError
from infra.embedded.errors import EmbeddedError
from infra.kafka.errors import WrongTopicError
from infra.logging import configure_logging
from infra.settings import SettingsInvalidError

app = typer.Typer(
    name="billing",
    help="Event-sourced billing: orders, payments and subscriptions whose money moves exactly once.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.up)
app.command("setup")(setup.setup)
app.command("doctor")(doctor.doctor)
app.command("resume")(overdue.resume)
app.command("token")(token.token)
app.command("api")(roles.api)
app.command("projector")(roles.projector)
app.add_typer(roles.worker_app, name="worker")
audit.app.command("explain")(explain.explain)
app.add_typer(audit.app, name="audit")
catalog.app.command("migrate")(price_migration.migrate)
app.add_typer(catalog.app, name="catalog")
app.add_typer(clock.app, name="clock")
app.add_typer(projections.app, name="projections")
app.add_typer(reports.app, name="reports")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run a command; what a person can mend is said in one sentence, without a stack trace."""
    configure_logging(level="WARNING")
    try:
        app()
    except (EmbeddedError, PoliciesInvalidError, SettingsInvalidError, UsageError, WrongTopicError) as error:
        typer.echo(f"billing: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
