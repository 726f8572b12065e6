"""`billing up`: the whole product on this machine, from an empty directory to the first sale."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from cli.common import DataDirOption
from infra.logging import configure_logging
from infra.settings import Settings


def up(
    data_dir: DataDirOption = None,
    port: Annotated[
        int | None, typer.Option("--port", help="The API's port; 0: any. [default: BILLING_API_PORT, else 8000]")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Engine workers.")] = 1,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Load the demo catalogue.")] = True,
) -> None:
    """Run everything: broker, database, API, workers, projector, sandbox provider. Ctrl-C stops it; data stays."""
    from cli.stack import Stack
    from infra.embedded.data_dir import DataDirLock, prepare_data_dir

    overrides: dict[str, Any] = {"data_dir": data_dir, "api_port": port}
    settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    # What goes well is said in plain words; the roles log as they are told, each into its file.
    level = settings.log_level if "log_level" in settings.model_fields_set else "WARNING"
    configure_logging(level=level, format=settings.log_format, role="up")
    os.umask(0o077)  # the log, the books and the logs of the roles are nobody else's business
    directory = prepare_data_dir(settings.data_dir)
    lock = DataDirLock(directory)
    lock.acquire()
    try:
        Stack(settings, data_dir=directory, workers=workers, demo=demo).run()
    finally:
        lock.release()
