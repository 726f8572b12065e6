"""One role in the foreground each: what compose, systemd, Kubernetes and `billing up` start.

Each imports its own part of the product only when it is called, so that no role pays for another's libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import DataDirOption, settings_in, settings_of_stack
from infra.logging import configure_logging

if TYPE_CHECKING:
    from infra.settings import Settings

worker_app = typer.Typer(help="The workers of the write side; start each as often as you like.", no_args_is_help=True)


def api(data_dir: DataDirOption = None) -> None:
    """Serve HTTP: commands to the log, queries from the read models."""
    settings = _start("api", settings_of_stack(data_dir))
    from api import server as role

    role.run(settings)


@worker_app.command()
def engine(data_dir: DataDirOption = None) -> None:
    """Decide commands into events."""
    settings = _start("engine", settings_of_stack(data_dir))
    from processors import engine as role

    role.run(settings)


@worker_app.command()
def gateway(data_dir: DataDirOption = None) -> None:
    """Call the payment providers."""
    settings = _start("gateway", settings_of_stack(data_dir))
    from processors import gateway as role

    role.run(settings)


def projector(data_dir: DataDirOption = None) -> None:
    """Build the read models from the log."""
    settings = _start("projector", settings_of_stack(data_dir))
    from projections import runner

    runner.run(settings)


def serve_sandbox(
    data_dir: DataDirOption = None,
    port: Annotated[int | None, typer.Option("--port", help="[default: BILLING_SANDBOX_PORT, else 8001]")] = None,
) -> None:
    """Serve the sandbox payment provider on loopback."""
    settings = _start("sandbox", settings_in(data_dir))
    if port is not None:
        settings = settings.model_copy(update={"sandbox_port": port, "sandbox_url": ""})
    from infra.sandbox import app as role

    role.run(settings)


def _start(role: str, settings: Settings) -> Settings:
    """What every role does first."""
    configure_logging(level=settings.log_level, format=settings.log_format, role=f"{role}-{settings.worker_id}")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return settings
