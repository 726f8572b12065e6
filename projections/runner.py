"""The projector as a process: `billing projector`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvloop
from prometheus_client import start_http_server
from sqlalchemy.exc import DBAPIError

from infra.ending import end_process_after, stop_when_asked
from infra.garbage import collect_rarely
from infra.logging import get_logger
from infra.postgres.migrations import upgrade
from projections.projector import Projector

if TYPE_CHECKING:
    from infra.settings import Settings

log = get_logger(__name__)

STOP_TIMEOUT_S = 10.0


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Ends the process with status 1 when it cannot go on; a supervisor restarts it."""
    try:
        upgrade(settings.database_url)
        if settings.metrics_port:
            start_http_server(settings.metrics_port, addr=settings.api_host)
    except DBAPIError as error:
        log.error("projections.failed", reason=f"the database: {error.orig}")  # noqa: TRY400  no trace for people
        sys.exit(1)
    except OSError as error:
        log.error("projections.failed", reason=f"the port {settings.metrics_port} for metrics: {error}")  # noqa: TRY400
        sys.exit(1)
    collect_rarely()
    code = uvloop.run(_main(settings))
    if code:
        sys.exit(code)


async def _main(settings: Settings) -> int:
    projector = Projector(settings)
    stop_when_asked(projector.stop)
    log.info("projections.started")
    try:
        await projector.run()
    except Exception:
        log.exception("projections.failed")
        end_process_after(STOP_TIMEOUT_S)
        return 1
    log.info("projections.stopped")
    end_process_after(STOP_TIMEOUT_S)
    return 0
